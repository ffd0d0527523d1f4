"""How `ser-watch` shows events: a view for a person, or a line for each event."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Callable
from typing import Literal, Protocol

from ser_daemon.client import AsyncClient
from ser_daemon.client.wire import NotRunning
from ser_daemon.views.keys import Keyboard, LabelKeys
from ser_daemon.views.text import PlainView
from ser_daemon.views.view import View, make_view
from ser_daemon.watch.formats import csv_header, csv_line, rcs_line
from ser_daemon.wire.events import Event
from ser_model.errors import SerError

Form = Literal["live", "json", "text", "csv", "rcs"]

LEVEL_SECONDS = 0.125
"""Seconds between two requests for the level, which the event stream does not carry."""


class Output(Protocol):
    """Shows events, and sentences of the program itself."""

    def show(self, line: bytes, event: Event | None) -> None:
        """Show an event; None for a type that this version doesn't know."""

    def message(self, text: str) -> None:
        """Show a sentence."""

    def close(self) -> None:
        """Restore the terminal."""


class LinesOutput:
    """Writes a line for each event to stdout, and sentences to stderr."""

    def __init__(self, form: Form) -> None:
        self._format: Callable[[bytes, Event | None], str | None]
        match form:
            case "csv":
                self._write(csv_header())
                self._format = lambda _, event: None if event is None else csv_line(event)
            case "rcs":
                self._format = lambda _, event: None if event is None else rcs_line(event)
            case _:
                terminal = sys.stdout.isatty()
                self._format = lambda line, _: _escaped(line) if terminal else line.decode(errors="replace")
        self._messages = PlainView(sys.stderr)

    def show(self, line: bytes, event: Event | None) -> None:
        """Write the line of an event, unbuffered."""
        text = self._format(line, event)
        if text is not None:
            self._write(text)

    def message(self, text: str) -> None:
        """Write a sentence to stderr."""
        self._messages.message(text)

    def close(self) -> None:
        """Do nothing: every line is written already."""

    def _write(self, text: str) -> None:
        # UTF-8 whatever the locale is, as on the socket.
        sys.stdout.buffer.write(f"{text}\n".encode(errors="replace"))
        sys.stdout.buffer.flush()


class ViewOutput:
    """Shows a view for a person, with the level and keys where it is the live one."""

    def __init__(self, client: AsyncClient | None, *, plain: bool) -> None:
        """Open the view.

        Args:
            client: answers for the level and takes corrections; None for a recording.
            plain: lines are wanted, also in a terminal.
        """
        keys = client is not None and Keyboard.is_available()
        self._view = make_view(plain, sys.stdout, keys=keys)
        live = not isinstance(self._view, PlainView)
        self._messages: View = self._view if live else PlainView(sys.stderr)
        self._label_keys: LabelKeys | None = None
        self._keyboard: Keyboard | None = None
        self._poll: asyncio.Task[None] | None = None
        if live and client is not None:
            self._label_keys = LabelKeys(self._view.prompt, client.label)
            self._keyboard = Keyboard(self._label_keys.pressed)
            self._keyboard.open()
            self._poll = asyncio.create_task(_poll_level(client, self._view))

    def show(self, line: bytes, event: Event | None) -> None:
        """Show an event."""
        if event is None:
            return
        if self._label_keys is not None:
            self._label_keys.event(event)
        self._view.event(event)

    def message(self, text: str) -> None:
        """Show a sentence in the live view, else on stderr."""
        self._messages.message(text)

    def close(self) -> None:
        """Restore the terminal."""
        if self._keyboard is not None:
            self._keyboard.close()
        if self._poll is not None:
            self._poll.cancel()
        self._view.close()


class NoOutput:
    """Shows no events: a command or a socket gets them."""

    def show(self, line: bytes, event: Event | None) -> None:
        """Do nothing."""

    def message(self, text: str) -> None:
        """Write a sentence to stderr."""
        PlainView(sys.stderr).message(text)

    def close(self) -> None:
        """Do nothing."""


class LossReporter:
    """Reports the loss of the daemon once, however many attempts to connect again fail."""

    def __init__(self, message: Callable[[str], None]) -> None:
        """Report by `message`."""
        self._message = message
        self._lost = False

    def lost(self, error: SerError) -> None:
        """Report that the daemon can't be reached; the live view shows it until the next event."""
        if not self._lost:
            self._lost = True
            self._message(f"{error} Waiting for it." if isinstance(error, NotRunning) else str(error))

    def found(self) -> None:
        """Make the next loss count as a new one."""
        self._lost = False


def _escaped(line: bytes) -> str:
    """Escape what a terminal would execute; the line is the same JSON as before."""
    text = line.decode(errors="replace")
    return text if text.isprintable() else json.dumps(json.loads(line), separators=(",", ":"))


async def _poll_level(client: AsyncClient, view: View) -> None:
    while True:
        level = noise_floor = None
        # Errors are reported by the stream, which has a connection of its own.
        with contextlib.suppress(SerError):
            status = await client.request("status")
            level, noise_floor = status.get("level_dbfs"), status.get("noise_floor_dbfs")
        view.level(level, noise_floor)
        await asyncio.sleep(LEVEL_SECONDS)
