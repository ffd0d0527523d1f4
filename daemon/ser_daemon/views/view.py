"""What a person sees of the daemon: a live picture in a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
from typing import Protocol, TextIO

from ser_daemon.views.text import PlainView
from ser_daemon.wire.events import Event

__all__ = ["PlainView", "View", "make_view"]


class View(Protocol):
    """Shows events and levels to a person."""

    def event(self, event: Event) -> None:
        """Show an event."""

    def level(self, dbfs: float | None, noise_floor_dbfs: float | None) -> None:
        """Show the present level and noise floor; None where there is none.

        Also the live view's pulse: call it a few times a second.
        """

    def message(self, text: str) -> None:
        """Show a sentence of the program's own."""

    def close(self) -> None:
        """Give the terminal back as it was. Can be called again."""


def can_draw(stream: TextIO) -> bool:
    """Whether `stream` is a terminal that knows how to place a cursor."""
    return stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb", "unknown")


def make_view(plain: bool, stream: TextIO) -> View:
    """Return the live view where `stream` is a terminal that can draw and `plain` is false, else the plain one."""
    if plain or not can_draw(stream):
        return PlainView(stream)
    # Only here: importing rich takes time and memory that a service has no use for.
    from ser_daemon.views.live import LiveView

    return LiveView(stream)
