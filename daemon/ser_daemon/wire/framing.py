"""Lines on the wire: NDJSON is written; NDJSON and Wyoming's framing are read.

A Wyoming event (https://github.com/OHF-Voice/wyoming) is a line of JSON, followed by `data_length` bytes of
JSON and `payload_length` bytes of any kind. Every line that is written here is a valid Wyoming event.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ser_daemon.wire.protocol import ErrorCode

MAX_LINE = 32 * 1024
"""Longest line in bytes, newline included, written or read; also the longest Wyoming data block."""

MAX_PAYLOAD = 1024 * 1024
"""Longest Wyoming payload in bytes; payloads are skipped, not stored."""

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


def encode(name: str, data: Mapping[str, object], **beside: object) -> bytes:
    """Encode one line; `beside` goes next to `type`. Infinity and NaN, which JSON lacks, become null."""
    message = {"type": name, **beside, "data": data}
    try:
        text = json.dumps(message, separators=(",", ":"), allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(message), separators=(",", ":"), allow_nan=False)
    # ASCII with escapes: UTF-8 can't encode a device name that holds lone surrogates.
    return text.encode("ascii") + b"\n"


def _finite(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


class LineParser:
    """Splits a byte stream into messages, in whatever pieces it arrives. Never raises; its buffer has a bound.

    `feed` adds bytes, and `take` removes the next complete message. A caller that stops taking should stop
    feeding as well: the rest stays in the buffer.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        """Bytes at the start of the buffer that are known to hold no newline, so that they are not searched again."""
        self._skipping_line = False
        self._skip = 0
        """Payload bytes still to be skipped."""
        self._header: dict[str, Any] | None = None
        """A header that waits for its data block."""

    def feed(self, data: bytes) -> None:
        """Add received bytes."""
        self._buffer += data

    def __iter__(self) -> Iterator[Message | BadLine]:
        """Take all complete messages."""
        while (item := self.take()) is not None:
            yield item

    def take(self) -> Message | BadLine | None:
        """Remove and return the next message; None when more bytes are needed."""
        while True:
            if self._skip:
                self._drop_payload()
                if self._skip:
                    return None
            if self._header is not None:
                if len(self._buffer) < self._header["data_length"]:
                    return None
                return self._with_data_block()
            line = self._line()
            if line is None or isinstance(line, BadLine):
                return line
            item = self._parse(line)
            if item is not None:
                return item

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

    def _line(self) -> bytes | BadLine | None:
        while True:
            end = self._buffer.find(b"\n", self._searched)
            if self._skipping_line:
                if end < 0:
                    self._buffer.clear()
                    self._searched = 0
                    return None
                self._consume(end + 1)
                self._skipping_line = False
                continue
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

    def _drop_payload(self) -> None:
        count = min(self._skip, len(self._buffer))
        self._consume(count)
        self._skip -= count

    def _parse(self, line: bytes) -> Message | BadLine | None:
        if not line.strip():
            return None
        header = _load_object(line)
        if isinstance(header, BadLine):
            return header
        if not isinstance(header.get("type"), str):
            return BadLine("bad-line", f'A line must hold a "type" that is a string: {_excerpt(line)}.')
        for name, limit in (("data_length", MAX_LINE), ("payload_length", MAX_PAYLOAD)):
            length = header.get(name)
            if length is None:
                header[name] = 0
            elif isinstance(length, bool) or not isinstance(length, int) or not 0 <= length <= limit:
                return BadLine("bad-framing", f"{name} must be an integer from 0 to {limit}, not {length!r:.40}.")
        if header.get("data") is None:
            header["data"] = {}
        if not isinstance(header["data"], dict):
            return BadLine("bad-line", f'"data" must be an object: {_excerpt(line)}.')
        if header["data_length"]:
            self._header = header
            return None
        return self._finished(header)

    def _with_data_block(self) -> Message | BadLine:
        header = self._header
        assert header is not None
        self._header = None
        length = header["data_length"]
        block = bytes(self._buffer[:length])
        self._consume(length)
        data = _load_object(block)
        if isinstance(data, BadLine):
            self._skip = header["payload_length"]
            return BadLine("bad-framing", f"A data block of {length} bytes is no JSON object: {_excerpt(block)}")
        header["data"].update(data)
        return self._finished(header)

    def _finished(self, header: dict[str, Any]) -> Message:
        self._skip = header["payload_length"]
        return Message(header["type"], header["data"], header.get("id"))


def _load_object(text: bytes) -> dict[str, Any] | BadLine:
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
