"""A recording of the event stream: the daemon's own lines in a file, each with the time at which it came.

The time is `received_ms` beside `type`: milliseconds since the first line. Programs that don't know it ignore it, so
that a recording is also what the socket gives. Lines without it, from socat or `ser-watch --json`, are read too.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from ser_daemon.client.wire import MAX_LINE, RequestFailed, parse
from ser_daemon.wire.event_reading import ProtocolError, from_wire
from ser_daemon.wire.events import Event
from ser_model.errors import SerError
from ser_model.small_file import UnreadableFileError, open_regular_file

_TIME = re.compile(rb',"received_ms":(\d{1,15})\}$')

_FOREIGN_LINES = 1000
"""A file that begins with so many lines of something else is read no further."""


class Recorder:
    """Writes lines to a file as they come. The file is for its owner only: it says how somebody spoke."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Make the file, or empty it.

        Raises:
            OSError: it cannot be made.
        """
        self._path = path
        self._clock = clock
        self._started: float | None = None
        self._lines = 0
        self._bytes = 0
        # Without O_NONBLOCK, opening a named pipe would wait for a reader.
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NONBLOCK
        self._descriptor = os.open(path, flags, 0o600)
        os.set_blocking(self._descriptor, True)

    def write(self, line: bytes) -> None:
        """Append a line, which is an object of JSON without a newline.

        Raises:
            SerError: the file cannot be written. It ends with the last line that fits as a whole.
        """
        now = self._clock()
        self._started = now if self._started is None else self._started
        rest = b'%b,"received_ms":%d}\n' % (line.rstrip()[:-1], 1000 * (now - self._started))
        size = len(rest)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            self._remove_cut_line()
            raise SerError(
                f"{self._path} cannot be written: {error.strerror}. The {self._lines} lines before are in it."
            ) from None
        self._lines += 1
        self._bytes += size

    def close(self) -> None:
        """Close the file. Can be called again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _remove_cut_line(self) -> None:
        # A pipe or a device has no length. A reader leaves out the line that is not whole.
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, self._bytes)


class Entry(NamedTuple):
    """A line of a recording."""

    seconds: float
    """When it came, from the start of the recording on; never less than that of the line before."""
    line: bytes
    """The line as the daemon sent it, without its newline."""
    event: Event | None
    """None for a type that this version doesn't know."""


class Recording:
    """Reads a recording once, in constant memory; leaves out what is no line of the daemon."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seconds = 0.0
        self._first_timestamp: int | None = None
        self._read = 0
        """Lines so far, whole or not."""
        self._entries = 0
        self._foreign: list[int] = []
        """Numbers of the lines that are not the daemon's."""
        self._cut = False

    def entries(self) -> Iterator[Entry]:
        """Yield the lines that are whole.

        Raises:
            OSError: the file cannot be read.
            SerError: it is no regular file.
        """
        try:
            opened = open_regular_file(self._path)
        except UnreadableFileError as error:
            raise SerError(f"{self._path} cannot be played: {error}; expected a recording.") from None
        with opened as file:
            while raw := file.readline(MAX_LINE):
                self._read += 1
                ended = raw.endswith(b"\n")
                # The rest of a line that is too long to be the daemon's.
                while not ended and (rest := file.readline(MAX_LINE)):
                    raw, ended = b"(too long)", rest.endswith(b"\n")
                if ended and not raw.strip():
                    continue
                entry = self._entry(raw.strip())
                if entry is not None:
                    self._entries += 1
                    yield entry
                elif ended:
                    self._foreign.append(self._read)
                else:
                    self._cut = True
                if len(self._foreign) >= _FOREIGN_LINES and not self._entries:
                    return

    def problem(self) -> str | None:
        """Say in a sentence what is wrong with the file, once it was read; None where nothing is."""
        hint = "`ser-watch --record FILE` makes a recording"
        if not self._read:
            return f"{self._path} is empty: {hint}."
        if not self._entries:
            return f"{self._path} is no recording, it has no line of ser-daemon: {hint}."
        rest = f"the {self._entries} whole lines of ser-daemon were played"
        if self._foreign:
            return (
                f"{self._path} has {len(self._foreign)} lines that are not ser-daemon's, "
                f"the first is line {self._foreign[0]}; {rest}."
            )
        return f"{self._path} was cut off within line {self._read}; {rest}." if self._cut else None

    def _entry(self, raw: bytes) -> Entry | None:
        match = _TIME.search(raw)
        line = raw[: match.start()] + b"}" if match else raw
        try:
            message = parse(line)
            event = from_wire(message["type"], message["data"])
        except (ProtocolError, RequestFailed):
            return None
        seconds = int(match[1]) / 1000 if match else self._by_timestamp(event)
        self._seconds = max(self._seconds, seconds)
        return Entry(self._seconds, line, event)

    def _by_timestamp(self, event: Event | None) -> float:
        """Return the time of a line that has none: that of the last sample before the event."""
        timestamp = getattr(event, "timestamp", None)
        if timestamp is None:
            return self._seconds
        if self._first_timestamp is None:
            self._first_timestamp = timestamp
        return float(timestamp - self._first_timestamp) / 1000
