"""Single keys of the terminal that a program was started from, and what they do in the live view."""

from __future__ import annotations

import asyncio
import os
import signal
import termios
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from ser_daemon.wire.events import Emotion, Event, Hello
from ser_model.errors import SerError
from ser_model.printable import printable

LABEL_KEY: Final = "l"
"""Begins a correction of the last utterance."""

HINT: Final = f"{LABEL_KEY} corrects a label, Ctrl-C ends"
"""What the live view says about keys."""

SHOWN_SECONDS = 6.0
"""Time for which an answer is shown."""

_MOST_LABELS = 16

_LOCAL_MODES = 3
"""Index in the list of `termios.tcgetattr`; likewise below."""
_CHARACTERS = 6


class Keyboard:
    """Reads keys without their Enter and without an echo. Ctrl-C, Ctrl-Z and Ctrl-S work as before."""

    def __init__(self, pressed: Callable[[str], None], descriptor: int = 0) -> None:
        """Prepare; `open` changes the terminal.

        Args:
            pressed: called on the event loop with each key.
            descriptor: of the terminal.
        """
        self._pressed = pressed
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._before: list[Any] | None = None
        """The terminal's modes before; `None` while it is not open."""

    @staticmethod
    def is_available(descriptor: int = 0) -> bool:
        """Whether the descriptor is a terminal."""
        return os.isatty(descriptor)

    def open(self) -> None:
        """Change the terminal's modes; does nothing where it is none."""
        if self._before is None and self.is_available(self._descriptor):
            self._before = termios.tcgetattr(self._descriptor)
            # After Ctrl-Z or in the background, the terminal is the shell's, which sets modes of its own.
            self._loop.add_signal_handler(signal.SIGCONT, self._begin)
            self._begin()

    def close(self) -> None:
        """Restore the terminal's modes. Can be called again."""
        before, self._before = self._before, None
        if before is None:
            return
        self._loop.remove_signal_handler(signal.SIGCONT)
        self._loop.remove_reader(self._descriptor)
        self._set(before)

    def _begin(self) -> None:
        if self._before is None:
            return
        modes = list(self._before)
        modes[_LOCAL_MODES] &= ~(termios.ICANON | termios.ECHO)
        characters = list(modes[_CHARACTERS])
        characters[termios.VMIN], characters[termios.VTIME] = 1, 0
        modes[_CHARACTERS] = characters
        if self._set(modes):
            self._loop.add_reader(self._descriptor, self._read)

    def _set(self, modes: list[Any]) -> bool:
        """Set the terminal's modes; return whether the terminal is this program's to set."""
        if not self._is_foreground():
            return False
        try:
            # TCSANOW: the others wait for the output, which Ctrl-S may have stopped.
            termios.tcsetattr(self._descriptor, termios.TCSANOW, modes)
        except termios.error:
            return False
        return True

    def _is_foreground(self) -> bool:
        # A program in the background that reads or sets the terminal is stopped by the kernel (termios(3), tty_ioctl).
        try:
            return os.tcgetpgrp(self._descriptor) == os.getpgrp()
        except OSError:
            return False

    def _read(self) -> None:
        if not self._is_foreground():
            self._loop.remove_reader(self._descriptor)
            return
        try:
            keys = os.read(self._descriptor, 64)
        except OSError:
            keys = b""
        if not keys:
            # The terminal is closed.
            self._loop.remove_reader(self._descriptor)
            return
        # An arrow or function key is one key, and no letter.
        for key in "\x1b" if keys.startswith(b"\x1b") else keys.decode(errors="replace"):
            self._pressed(key)


class LabelKeys:
    """Turns `l` and the key of a label into a correction of the last utterance; event loop only."""

    def __init__(
        self, show: Callable[[str | None], None], send: Callable[[str, str], Awaitable[Mapping[str, object]]]
    ) -> None:
        """Start without an utterance.

        Args:
            show: shows a sentence in the live view; `None` removes it.
            send: corrects the label of an utterance, and returns the data of the answer.
        """
        self._show = show
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._keys: dict[str, str] = {}
        self._last: str | None = None
        """The last utterance that has ended."""
        self._chosen: str | None = None
        """The utterance whose label is being chosen: the last one when `l` was pressed."""
        self._sending: asyncio.Task[None] | None = None
        self._hiding: asyncio.TimerHandle | None = None

    def event(self, event: Event) -> None:
        """Note the labels, and the last utterance."""
        match event:
            case Hello():
                self._keys, self._last, self._chosen = label_keys(event.labels), None, None
            case Emotion(final=True):
                self._last = event.utterance_id

    def pressed(self, key: str) -> None:
        """Take a key; one that means nothing ends the choice."""
        if self._sending is not None and not self._sending.done():
            return
        chosen, self._chosen = self._chosen, None
        if chosen is not None and key in self._keys:
            self._sending = self._loop.create_task(self._correct(chosen, self._keys[key]))
        elif chosen is not None:
            self._say(None)
        elif key == LABEL_KEY and self._last is None:
            self._say("There is nothing to correct yet: nobody has spoken.", SHOWN_SECONDS)
        elif key == LABEL_KEY:
            self._chosen = self._last
            self._say(f"{self._last} {describe_keys(self._keys)}")

    async def _correct(self, utterance_id: str, label: str) -> None:
        try:
            answer = await self._send(utterance_id, label)
            text = str(answer.get("text") or "Done.")
        except SerError as error:
            text = str(error)
        self._say(text, SHOWN_SECONDS)

    def _say(self, text: str | None, seconds: float | None = None) -> None:
        if self._hiding is not None:
            self._hiding.cancel()
        self._hiding = None if seconds is None else self._loop.call_later(seconds, self._show, None)
        self._show(None if text is None else printable(text))


def label_keys(labels: Sequence[str]) -> dict[str, str]:
    """Return a key for each label: its first letter that no label before it has.

    Examples:
        >>> label_keys(["sad", "surprised", "angry"])
        {'s': 'sad', 'u': 'surprised', 'a': 'angry'}
    """
    keys: dict[str, str] = {}
    # The labels may be another program's.
    for label in [one for one in labels[:_MOST_LABELS] if isinstance(one, str)]:
        key = next((letter for letter in label if letter not in keys), None)
        if key is not None:
            keys[key] = label
    return keys


def describe_keys(keys: Mapping[str, str]) -> str:
    """Describe the keys of the labels.

    Examples:
        >>> describe_keys({"s": "sad", "u": "surprised"})
        '[s]ad s[u]rprised'
    """
    return " ".join(label.replace(key, f"[{key}]", 1) for key, label in keys.items())
