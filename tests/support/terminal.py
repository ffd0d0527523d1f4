"""A program in a terminal of its own, which is its controlling one, as a shell would start it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

from support.daemon import WAIT


class Terminal:
    """A pseudo-terminal of 80 columns and a program in it.

    Args:
        arguments: Command line of the program.
        environment: Variables in addition to those of this process.
        output: Descriptor for stdout; `None` is the terminal.
    """

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str] | None = None, output: int | None = None
    ) -> None:
        self._master, self._slave = pty.openpty()
        self.modes_before = self.modes
        self.text = ""
        """All that the program has written to the terminal."""
        self.process = subprocess.Popen(
            arguments,
            stdin=self._slave,
            stdout=self._slave if output is None else output,
            stderr=self._slave,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24", **(environment or {})},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._master)
        os.close(self._slave)

    @property
    def modes(self) -> list[Any]:
        """Modes of the terminal, as `termios.tcgetattr` gives them."""
        return termios.tcgetattr(self._slave)

    def press(self, keys: str) -> None:
        """Type keys."""
        os.write(self._master, keys.encode())

    def until(self, text: str) -> None:
        """Read until the program has written a text after the last one that was waited for."""
        self._read_until(lambda: text in self.text, f"{text!r}")
        self.text = self.text[self.text.index(text) + len(text) :]

    def wait(self) -> int:
        """Read until the program has ended; return its exit status."""
        self._read_until(lambda: self.process.poll() is not None, "its end")
        while select.select([self._master], [], [], 0)[0]:
            self.text += os.read(self._master, 65_536).decode(errors="replace")
        return self.process.wait()

    def _read_until(self, reached: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + WAIT
        while not reached():
            assert time.monotonic() < deadline, f"{what} did not come within {WAIT} s: {self.text[-2000:]!r}"
            if select.select([self._master], [], [], 0.05)[0]:
                self.text += os.read(self._master, 65_536).decode(errors="replace")
