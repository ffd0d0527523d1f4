"""The daemon's log on stderr: lines for a person or for the journal, written on a thread of their own."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections import deque

from ser_daemon.config.schema import Config
from ser_daemon.service.output_thread import OutputThread
from ser_model.printable import printable_lines

DRAIN_SECONDS = 0.3
"""Time for the last lines to be written when the daemon ends."""

DEFERRED_LINES = 20
"""Most lines that are kept while the live view uses the terminal."""

_JOURNAL_LEVELS = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}


class LogFormatter(logging.Formatter):
    """Escapes what a terminal would execute, shortens what is long, and indents all lines of a record but the first.

    So no text from elsewhere can pass for a line of the log.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as one or more lines."""
        return printable_lines(super().format(record)).replace("\n", "\n    ")


class JournalFormatter(LogFormatter):
    """Prefixes lines with their priority (sd-daemon(3)). The journal adds time and name itself."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as one or more lines, each with its priority."""
        prefix = f"<{_JOURNAL_LEVELS.get(record.levelno, 3)}>"
        return "\n".join(prefix + line for line in super().format(record).split("\n"))


class LogHandler(logging.Handler):
    """Writes to stderr without ever waiting for it: nobody may read the terminal or pipe behind it."""

    def __init__(self, *, deferred: bool) -> None:
        """Prepare to write.

        Args:
            deferred: keep the last lines, and write them when the handler is closed: a live view uses the terminal.
        """
        super().__init__()
        self.drained = True
        """After `close`: all lines were written in time."""
        self._kept: deque[str] = deque(maxlen=DEFERRED_LINES)
        self._output = None if deferred else OutputThread("log", _write)

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a line, or keep it."""
        line = self.format(record)
        if self._output is None:
            self._kept.append(line)
        else:
            self._output.put(line)

    def close(self) -> None:
        """Write what is left, for at most `DRAIN_SECONDS`. Can be called again."""
        if self._output is None and self._kept:
            self._output = OutputThread("log", _write)
            while self._kept:
                self._output.put(self._kept.popleft())
        if self._output is not None:
            self.drained = self._output.close(DRAIN_SECONDS)
        super().close()


def _write(line: str, lost: int) -> None:
    with contextlib.suppress(OSError):
        if lost:
            print(f"({lost} log lines lost)", file=sys.stderr)
        print(line, file=sys.stderr, flush=True)


def set_up_log(config: Config, *, service: bool, live: bool) -> LogHandler:
    """Send the log to stderr.

    Args:
        config: names the level.
        service: a service manager reads the log.
        live: a live view uses the terminal.
    """
    handler = LogHandler(deferred=live)
    if os.environ.get("JOURNAL_STREAM") and service:
        handler.setFormatter(JournalFormatter("%(message)s"))
    else:
        handler.setFormatter(LogFormatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    logging.getLogger().addHandler(handler)
    own = logging.getLogger("ser_daemon")
    own.setLevel(config.service.log_level.upper())
    if not service and config.service.log_level == "info":
        # The view shows every state, so only problems are logged.
        own.setLevel(logging.WARNING)
        logging.getLogger("ser_daemon.pipeline.state_reporter").setLevel(logging.ERROR)
    return handler
