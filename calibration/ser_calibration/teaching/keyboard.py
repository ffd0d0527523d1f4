"""Single keys from the terminal, without Enter."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import tty
from typing import Any, Final

from ser_model.errors import SerError

ENTER: Final = "\n"


class Keyboard:
    """The keys of the terminal behind stdin, as a context manager. At its end the terminal is as it was before."""

    def __init__(self) -> None:
        self._descriptor = sys.stdin.fileno()
        self._before: list[Any] = []

    def __enter__(self) -> Keyboard:
        self._before = termios.tcgetattr(self._descriptor)
        # Ctrl-C and Ctrl-Z still work.
        tty.setcbreak(self._descriptor)
        return self

    def __exit__(self, *_: object) -> None:
        # Keys that were typed in advance must not reach the shell.
        with contextlib.suppress(termios.error):
            termios.tcsetattr(self._descriptor, termios.TCSAFLUSH, self._before)

    def forget(self) -> None:
        """Discard the keys that were pressed so far."""
        with contextlib.suppress(termios.error):
            termios.tcflush(self._descriptor, termios.TCIFLUSH)

    def pressed(self, seconds: float = 0.0) -> str:
        """Return the next key in lower case; an empty string if none is pressed within `seconds`.

        Raises:
            SerError: the terminal was closed.
        """
        if not select.select([self._descriptor], [], [], seconds)[0]:
            return ""
        try:
            key = os.read(self._descriptor, 1)
        except OSError:
            key = b""
        if not key:
            raise SerError("The terminal was closed; nothing was written.")
        return key.decode("ascii", "replace").replace("\r", ENTER).lower()
