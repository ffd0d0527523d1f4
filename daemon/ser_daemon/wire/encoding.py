"""Writes lines of the wire: NDJSON, of which every line is also a valid Wyoming event."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

MAX_LINE = 32 * 1024
"""Longest line in bytes, newline included, written or read; also the longest Wyoming data block."""

_SHORT = 100
"""Characters of a text, and items of a list, that are kept in a line which would otherwise exceed `MAX_LINE`."""


def encode(name: str, data: Mapping[str, object], **beside: object) -> bytes:
    """Encode one line of at most `MAX_LINE` bytes; `beside` goes next to `type`.

    Infinity and NaN, which JSON lacks, become null. In a line that would be too long, texts and lists are cut off.
    """
    message = {"type": name, **beside, "data": data}
    line = _dump(message)
    return line if len(line) <= MAX_LINE else _dump(_shortened(message))


def describe(value: object) -> str:
    """Describe a JSON value in an error: lists and objects only by their kind, since they can be deep and long."""
    match value:
        case dict():
            return "an object"
        case list():
            return "a list"
    return f"{value!r:.40}"


def _dump(message: object) -> bytes:
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


def _shortened(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _shortened(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_shortened(item) for item in value[:_SHORT]]
    return value[:_SHORT] if isinstance(value, str) else value
