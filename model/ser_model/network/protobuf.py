"""Reads Protocol Buffers strictly: a message holds the fields of its schema, each as often as allowed, or is refused.

The usual readers skip unknown fields, and merge or replace repeated ones. Then what one reader checks need not be what
another one uses. Nothing here calls itself, so nesting costs no stack.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

# Wire types (https://protobuf.dev/programming-guides/encoding/).
VARINT: Final = 0
FIXED64: Final = 1
BYTES: Final = 2
FIXED32: Final = 5


class Field(NamedTuple):
    """What a schema says of a field."""

    name: str
    wire: int
    """Its wire type. A field that is skipped may have any value of this type."""
    most: int = 1
    """Largest number of values. Integers may also be packed into one payload."""


Schema = Mapping[int, Field]
"""Fields by their numbers."""


class Message:
    """The values of one message, by the names of its fields; all are in the order of the file."""

    __slots__ = ("integers", "payloads")

    def __init__(self) -> None:
        self.integers: dict[str, list[int]] = {}
        """Signed, 64 bits."""
        self.payloads: dict[str, list[bytes]] = {}
        """Strings, bytes, messages, and numbers of fixed size."""

    def integer(self, name: str, default: int = 0) -> int:
        """Return the last integer of a field, or the default."""
        return self.integers.get(name, (default,))[-1]

    def payload(self, name: str, default: bytes = b"") -> bytes:
        """Return the last payload of a field, or the default."""
        return self.payloads.get(name, (default,))[-1]

    def text(self, name: str) -> str:
        """Return a field's payload as text.

        Raises:
            ValueError: it is not UTF-8.
        """
        return self.payload(name).decode()

    def texts(self, name: str) -> tuple[str, ...]:
        """Return all payloads of a field as text; raise like `text`."""
        return tuple(payload.decode() for payload in self.payloads.get(name, ()))


def read_message(content: bytes, kind: str, schema: Schema) -> Message:
    """Read one message; the messages in it remain bytes.

    Args:
        content: the serialised message.
        kind: its name, for errors.
        schema: its fields.

    Raises:
        ValueError: the content is truncated, or holds more than the schema allows.
    """
    message, at = Message(), 0
    while at < len(content):
        tag, at = _varint(content, at)
        field = schema.get(tag >> 3)
        if field is None:
            raise ValueError(f"{kind} has an unexpected field {tag >> 3}")
        if tag & 7 == VARINT == field.wire:
            number, at = _varint(content, at)
            values = message.integers.setdefault(field.name, [])
            values.append(_signed(number))
            count = len(values)
        else:
            size, at = _size(content, at, tag & 7)
            part = content[at : at + size]
            at += size
            if field.wire == VARINT and tag & 7 == BYTES and field.most > 1:
                count = _unpack(part, message.integers.setdefault(field.name, []), field.most)
            elif field.wire == tag & 7:
                parts = message.payloads.setdefault(field.name, [])
                parts.append(part)
                count = len(parts)
            else:
                raise ValueError(f"{field.name} of {kind} has an unexpected type")
        if count > field.most:
            raise ValueError(f"{kind} has more than {field.most} {field.name}")
    return message


def _size(content: bytes, at: int, wire: int) -> tuple[int, int]:
    """Size of the payload at a position, and where it begins."""
    if wire == BYTES:
        size, at = _varint(content, at)
    elif wire in (FIXED32, FIXED64):
        size = 4 if wire == FIXED32 else 8
    else:
        raise ValueError(f"unexpected wire type {wire}")
    if at + size > len(content):
        raise ValueError("it ends in the middle of a field")
    return size, at


def _unpack(part: bytes, values: list[int], most: int) -> int:
    """Append packed integers, at most one too many; return how many there are then."""
    at = 0
    while at < len(part) and len(values) <= most:
        number, at = _varint(part, at)
        values.append(_signed(number))
    return len(values)


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """The variable-length integer at a position, and the position after it."""
    # Almost every number has one byte.
    if at < len(content) and content[at] < 0x80:
        return content[at], at + 1
    value = shift = 0
    while True:
        if at >= len(content):
            raise ValueError("it ends in the middle of a number")
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            if value >> 64:
                raise ValueError("a number has more than 64 bits")
            return value, at
        if shift > 63:
            raise ValueError("a number has more than 64 bits")
