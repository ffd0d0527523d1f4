"""Reads lines of the wire: NDJSON, and Wyoming's framing.

A Wyoming event (https://github.com/OHF-Voice/wyoming) is a line of JSON, followed by `data_length` bytes of
JSON and `payload_length` bytes of any kind.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ser_daemon.wire.encoding import MAX_LINE, describe, encode
from ser_daemon.wire.protocol import ErrorCode

__all__ = [
    "MAX_LINE",
    "MAX_PAYLOAD",
    "BadLine",
    "LineParser",
    "Message",
    "Skipped",
    "encode",
    "load_header",
    "load_object",
]

MAX_PAYLOAD = 1024 * 1024
"""Longest Wyoming payload in bytes; payloads are skipped, not stored."""

MAX_CONTAINERS = 1100
"""Most opening brackets in a line. No request needs more than a few, but the text of `ping` may have 1024. Each that
opens a list or an object costs many times the time and memory of another byte."""

_EXCERPT = 60
"""Bytes of a bad line that an error repeats."""


@dataclass(frozen=True, slots=True)
class Message:
    """A line that has a `type`; the data is not checked yet."""

    type: str
    data: dict[str, Any] = field(default_factory=dict)
    id: object = None
    """`id` beside `type`, unchecked; requests may also carry one inside `data`."""


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that could not be parsed; reading goes on after it."""

    code: ErrorCode
    text: str


class Skipped:
    """Bytes that were consumed and need no answer: a blank line, or part of a message."""


_SKIPPED = Skipped()


@dataclass(frozen=True, slots=True)
class _Header:
    """A line that waits for its data block. Kept as bytes: what they are parsed to can be many times larger."""

    line: bytes
    data_length: int
    payload_length: int


class LineParser:
    """Splits a byte stream into messages, in whatever pieces it arrives. Never raises; its buffer has a bound.

    `feed` adds bytes, and `take` removes the next complete message. A caller that stops taking should stop
    feeding as well: the rest stays in the buffer. `step` does the same in pieces of bounded work.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        """Bytes at the start of the buffer that are known to hold no newline, so that they are not searched again."""
        self._skipping_line = False
        self._skip = 0
        """Payload bytes still to be skipped."""
        self._header: _Header | None = None
        """A header that waits for its data block."""

    @property
    def is_empty(self) -> bool:
        """Whether all bytes are consumed."""
        return not self._buffer

    def feed(self, data: bytes | memoryview) -> None:
        """Add received bytes."""
        self._buffer += data

    def __iter__(self) -> Iterator[Message | BadLine]:
        """Take all complete messages."""
        while (item := self.take()) is not None:
            yield item

    def take(self) -> Message | BadLine | None:
        """Remove and return the next message; None when more bytes are needed."""
        while isinstance(item := self.step(), Skipped):
            pass
        return item

    def step(self) -> Message | BadLine | Skipped | None:
        """Consume one line, data block or piece of a payload, and return what it was; None: more bytes are needed."""
        if self._skip:
            if not self._buffer:
                return None
            count = min(self._skip, len(self._buffer))
            self._consume(count)
            self._skip -= count
            return _SKIPPED
        if self._header is not None:
            return self._with_data_block(self._header)
        line = self._line()
        if not isinstance(line, bytes):
            return line
        return self._parse(line) or _SKIPPED

    def finish(self) -> Message | BadLine | None:
        """Return the unfinished line at the end of the stream: a message if its JSON is complete, else a bad line."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        item = None
        if self._header is None and not self._skipping_line and not self._skip:
            item = self._parse(rest)
            if isinstance(item, BadLine):
                return BadLine(item.code, f"The last line has no newline and is cut off: {_excerpt(rest)}.")
        if self._header is not None:
            self._header = None
            return BadLine("bad-framing", "The sending side was closed before its data block was whole.")
        return item

    def _line(self) -> bytes | BadLine | Skipped | None:
        end = self._buffer.find(b"\n", self._searched)
        if self._skipping_line:
            self._skipping_line = end < 0
            self._consume(len(self._buffer) if end < 0 else end + 1)
            return None if end < 0 else _SKIPPED
        if end >= MAX_LINE or (end < 0 and len(self._buffer) >= MAX_LINE):
            self._skipping_line = True
            return BadLine(
                "line-too-long",
                f"A line is longer than {MAX_LINE} bytes; it is skipped up to its newline.",
            )
        if end < 0:
            self._searched = len(self._buffer)
            return None
        line = bytes(self._buffer[:end])
        self._consume(end + 1)
        return line

    def _consume(self, count: int) -> None:
        del self._buffer[:count]
        self._searched = 0

    def _parse(self, line: bytes) -> Message | BadLine | None:
        """Return the message of a line; None for a blank one, and where the data block is still to come."""
        if not line.strip():
            return None
        header = load_header(line)
        if isinstance(header, BadLine):
            return header
        if header["data_length"]:
            self._header = _Header(line, header["data_length"], header["payload_length"])
            return None
        self._skip = header["payload_length"]
        return _message(header)

    def _with_data_block(self, waiting: _Header) -> Message | BadLine | None:
        if len(self._buffer) < waiting.data_length:
            return None
        self._header = None
        self._skip = waiting.payload_length
        block = bytes(self._buffer[: waiting.data_length])
        self._consume(waiting.data_length)
        data = load_object(block)
        if isinstance(data, BadLine):
            return BadLine("bad-framing", f"A data block of {len(block)} bytes is no JSON object: {_excerpt(block)}")
        header = load_header(waiting.line)
        if isinstance(header, BadLine):
            return header
        header["data"].update(data)
        return _message(header)


def _message(header: dict[str, Any]) -> Message:
    return Message(header["type"], header["data"], header.get("id"))


def load_header(line: bytes, longest_payload: int = MAX_PAYLOAD) -> dict[str, Any] | BadLine:
    """Parse a line and check what the framing needs; absent lengths become 0, and absent data an empty object."""
    header = load_object(line)
    if isinstance(header, BadLine):
        return header
    if not isinstance(header.get("type"), str):
        return BadLine("bad-line", f'A line must hold a "type" that is a string: {_excerpt(line)}.')
    for name, limit in (("data_length", MAX_LINE), ("payload_length", longest_payload)):
        length = header.get(name)
        if length is None:
            header[name] = 0
        elif isinstance(length, bool) or not isinstance(length, int) or not 0 <= length <= limit:
            return BadLine("bad-framing", f"{name} must be an integer from 0 to {limit}, not {describe(length)}.")
    if header.get("data") is None:
        header["data"] = {}
    if not isinstance(header["data"], dict):
        return BadLine("bad-line", f'"data" must be an object: {_excerpt(line)}.')
    return header


def load_object(text: bytes) -> dict[str, Any] | BadLine:
    """Parse a JSON object, with a bound on its brackets."""
    if text.count(b"[") + text.count(b"{") > MAX_CONTAINERS:
        return BadLine("bad-line", f"A line is too deep, or has over {MAX_CONTAINERS} brackets: {_excerpt(text)}.")
    try:
        value = json.loads(text.decode("utf-8"))
    except UnicodeDecodeError:
        return BadLine("bad-line", f"A line is not UTF-8: {_excerpt(text)}.")
    except RecursionError:
        return BadLine("bad-line", f"A line is nested too deeply: {_excerpt(text)}.")
    except ValueError as error:
        return BadLine("bad-line", f"A line is not JSON ({error}): {_excerpt(text)}.")
    if not isinstance(value, dict):
        return BadLine("bad-line", f"A line must be a JSON object: {_excerpt(text)}.")
    return value


def _excerpt(text: bytes) -> str:
    shown = repr(text[:_EXCERPT].decode("utf-8", "backslashreplace"))
    return shown if len(text) <= _EXCERPT else f"{shown}…"
