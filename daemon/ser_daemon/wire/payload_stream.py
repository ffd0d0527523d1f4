"""Reads Wyoming events with their payloads, such as audio.

`ser_daemon.wire.framing` reads requests, and skips payloads. Here a payload comes in pieces as it arrives, so that its
length needs no memory. Needs only the standard library.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ser_daemon.wire.encoding import MAX_LINE
from ser_daemon.wire.framing import BadLine, load_header, load_object
from ser_model.errors import SerError

LONGEST_PAYLOAD = 16 * 1024 * 1024
"""Longest payload of an event in bytes: over eight minutes of 16 kHz mono in one chunk. More is a broken length."""


class FramingError(SerError):
    """The bytes are no Wyoming events. Where the next event begins is not known."""


@dataclass(frozen=True, slots=True)
class EventHead:
    """An event without its payload. The data is not checked."""

    type: str
    data: dict[str, Any]
    payload_length: int
    """Bytes of the payload, which `PayloadStream.take` returns next, in pieces."""


class PayloadStream:
    """Splits a byte stream into events and the pieces of their payloads.

    `feed` adds bytes and `take` removes what is complete. If everything complete is taken after each `feed`, at most
    one header and its data wait: twice `MAX_LINE`.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._header: bytes | None = None
        """A line that waits for its data."""
        self._data_length = 0
        self._payload = 0
        """Bytes of the payload that are still to come."""

    @property
    def is_between_events(self) -> bool:
        """Whether no event has begun."""
        return not self._buffer and self._header is None and not self._payload

    def feed(self, data: bytes) -> None:
        """Add received bytes."""
        self._buffer += data

    def take(self) -> EventHead | bytes | None:
        """Remove and return the next head, or the next piece of its payload; `None`: more bytes are needed.

        Raises:
            FramingError: the bytes are no event. Nothing can be taken afterwards.
        """
        if self._payload:
            return self._piece()
        while self._header is None:
            line = self._line()
            if line is None:
                return None
            # A blank line between events does no harm.
            if line.strip():
                header = _checked(load_header(line, LONGEST_PAYLOAD))
                if not header["data_length"]:
                    return self._head(header)
                self._header, self._data_length = line, header["data_length"]
        if len(self._buffer) < self._data_length:
            return None
        data = _checked(load_object(self._remove(self._data_length)))
        header = _checked(load_header(self._header, LONGEST_PAYLOAD))
        self._header = None
        header["data"].update(data)
        return self._head(header)

    def _head(self, header: dict[str, Any]) -> EventHead:
        self._payload = header["payload_length"]
        return EventHead(header["type"], header["data"], self._payload)

    def _piece(self) -> bytes | None:
        if not self._buffer:
            return None
        piece = self._remove(min(self._payload, len(self._buffer)))
        self._payload -= len(piece)
        return piece

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\n", self._searched)
        # Also where it came as a whole: the pieces in which bytes come must change nothing.
        if (end if end >= 0 else len(self._buffer)) >= MAX_LINE:
            raise FramingError(f"A header is longer than {MAX_LINE} bytes; expected Wyoming events.")
        if end < 0:
            self._searched = len(self._buffer)
            return None
        return self._remove(end + 1)

    def _remove(self, count: int) -> bytes:
        piece = bytes(self._buffer[:count])
        del self._buffer[:count]
        self._searched = 0
        return piece


def _checked(parsed: dict[str, Any] | BadLine) -> dict[str, Any]:
    if isinstance(parsed, BadLine):
        raise FramingError(f"{parsed.text.rstrip('.')}; expected Wyoming events.")
    return parsed
