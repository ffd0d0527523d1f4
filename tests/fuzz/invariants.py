"""What must hold for every example: sentences, bounds of memory, time and output, and no leaks."""

from __future__ import annotations

import contextlib
import gc
import io
import logging
import os
import re
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from fuzz.names import set_up_log
from fuzz.target import Finding, Target
from ser_daemon.config.schema import Config
from ser_model import console
from ser_model.errors import SerError

MAX_PRINTED = 4096
"""Longest text in characters that one event, answer or error may print."""

MAX_LOG_LINE = 4096
"""Longest log line in characters."""

MAX_LOG_LINES = 32
"""Log lines that one example may cause: each of them has few peers and files."""

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What a terminal could execute, or what reorders text; a newline is judged apart."""


def require(condition: object, code: str, text: str = "") -> None:
    """Raise a finding unless the condition holds."""
    if not condition:
        raise Finding(code, text)


def check_printed(text: str, *, lines: int = 1, limit: int = MAX_PRINTED) -> None:
    """Check what a terminal gets: no control characters, few lines, bounded."""
    found = _CONTROL.search(text)
    require(found is None, "control character printed", f"{found and found[0]!r} in {text[:200]!r}")
    require(text.rstrip("\n").count("\n") < lines, "more than one line printed", repr(text[:200]))
    require(len(text) <= limit, "long text printed", f"{len(text)} characters: {text[:100]!r}")


def check_sentence(error: Exception) -> None:
    """Check an error as the commands print it."""
    check_printed(printed_sentence(str(error)))


def printed_sentence(text: str) -> str:
    """What a command puts on stderr for an error with this text."""

    def fail() -> int:
        raise SerError(text)

    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        console.run("ser-daemon", fail)
    return errors.getvalue()


@contextlib.contextmanager
def invariants(target: Target) -> Iterator[None]:
    """Check logs, memory, time, descriptors and threads around one example."""
    log = _Log()
    root = logging.getLogger()
    root.addHandler(log)
    descriptors, threads = _descriptors(), threading.active_count()
    before = _reset_peak()
    began = time.process_time()
    try:
        yield
        took = time.process_time() - began
        grown = (_memory("VmHWM") - before) / 1024
    finally:
        root.removeHandler(log)
    log.check()
    require(took <= target.seconds, "takes long", f"{took:.1f} s of processor time")
    require(grown <= target.megabytes, "takes much memory", f"{grown:.0f} MB")
    if _descriptors() > descriptors or threading.active_count() > threads:
        gc.collect()
        require(_descriptors() <= descriptors, "descriptor leaked", f"{_descriptors()} after {descriptors}")
        require(threading.active_count() <= threads, "thread leaked", str(threading.enumerate()))


class _Log(logging.Handler):
    """Keeps what the daemon would log."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []
        self.tracebacks: list[str] = []
        self.setFormatter(_daemon_formatter())

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if record.exc_info:
            self.tracebacks.append(text)
        elif len(self.lines) <= MAX_LOG_LINES:
            self.lines.append(text)

    def check(self) -> None:
        require(not self.tracebacks, "traceback logged", self.tracebacks[0][-300:] if self.tracebacks else "")
        for text in self.lines:
            # A newline in a name is followed by an indent, so that no text can look like a log line of its own.
            first, *others = text.split("\n")
            indented = all(line.startswith("    ") for line in others) and len(others) <= 4
            require(indented, "log of several lines", text[-300:])
            for line in (first, *others):
                check_printed(line, limit=MAX_LOG_LINE)
        require(len(self.lines) <= MAX_LOG_LINES, "many log lines", self.lines[0] if self.lines else "")


@cache
def _daemon_formatter() -> logging.Formatter:
    """The formatter of the daemon's own log, with whatever it does to a record's text."""
    root, own = logging.getLogger(), logging.getLogger("ser_daemon")
    reporter = logging.getLogger("ser_daemon.pipeline.state_reporter")
    levels = own.level, reporter.level
    handler = set_up_log(Config(), service=True, live=False)
    root.removeHandler(handler)
    handler.close()
    own.setLevel(levels[0])
    reporter.setLevel(levels[1])
    return handler.formatter or logging.Formatter()


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def _reset_peak() -> int:
    """Make the peak of resident memory the present value, and return it in KiB (proc(5), clear_refs)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmHWM")


def _memory(name: str) -> int:
    text = Path("/proc/self/status").read_text()
    return int(text.partition(f"{name}:")[2].split(maxsplit=1)[0])
