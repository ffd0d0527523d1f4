"""From events to the bytes of Wyoming's framing."""

from __future__ import annotations

import io
from collections.abc import Mapping

from wyoming.event import Event, write_event


def encode(name: str, data: Mapping[str, object] | None = None) -> bytes:
    """Return an event as the official package writes it."""
    return encode_event(Event(name, dict(data or {})))


def encode_event(event: Event) -> bytes:
    """Return an event of the official package as bytes."""
    file = io.BytesIO()
    write_event(event, file)
    return file.getvalue()


def encode_error(code: str, text: str) -> bytes:
    """Return an `error`."""
    return encode("error", {"text": text, "code": code})
