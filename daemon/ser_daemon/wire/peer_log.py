"""Log lines that clients can cause: few, short, and counted where they are left out."""

from __future__ import annotations

import logging
import time
import traceback

from ser_model.printable import printable

LINES_PER_MINUTE = 10
"""Lines of one kind: clients must not fill a disk, or hide other lines."""

_FRAMES = 8
"""Innermost frames of a stack that are logged: the stack of an endless recursion has a thousand."""


class LimitedLog:
    """Logs at most so many lines a minute, and says with the next one how many were left out."""

    def __init__(self, per_minute: int = LINES_PER_MINUTE) -> None:
        self._per_minute = per_minute
        self._since = -60.0
        self._lines = 0
        self._left_out = 0

    def log(self, log: logging.Logger, level: int, text: str, now: float | None = None) -> None:
        """Log a line, or count it.

        Args:
            log: where to.
            level: as in `logging`.
            text: the line; escaped and shortened.
            now: seconds on a monotonic clock; None: now.
        """
        now = time.monotonic() if now is None else now
        if now - self._since >= 60.0:
            self._since, self._lines = now, 0
        if self._lines >= self._per_minute:
            self._left_out += 1
            return
        self._lines += 1
        left_out = f" ({self._left_out} lines like this were left out.)" if self._left_out else ""
        self._left_out = 0
        log.log(level, "%s%s", printable(text), left_out)


misbehaviour = LimitedLog()
"""For what clients do wrong; one for the whole process."""

_failures = LimitedLog()


def log_failure(log: logging.Logger, name: str, error: Exception) -> None:
    """Log in one line that a request failed because of a bug, with the innermost frames of the stack."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    places = ", ".join(f"{frame.name} ({frame.filename.rpartition('/')[2]}:{frame.lineno})" for frame in frames)
    _failures.log(log, logging.ERROR, f"{name!r:.60} failed: {type(error).__name__}: {str(error)[:200]}; in {places}")
