"""The view that suits an output: live in a terminal, plain lines elsewhere."""

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
        """Show the current level and noise floor; None where there is none.

        The live view is redrawn by this: call it a few times a second.
        """

    def message(self, text: str) -> None:
        """Show a sentence of the program itself."""

    def prompt(self, text: str | None) -> None:
        """Show a sentence about keys in place of the state; None removes it."""

    def close(self) -> None:
        """Restore the terminal. Can be called again."""


def can_draw(stream: TextIO) -> bool:
    """Return whether `stream` is a terminal that can place the cursor."""
    return stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb", "unknown")


def make_view(plain: bool, stream: TextIO, *, keys: bool = False) -> View:
    """Return the live view where `stream` is a terminal that can show it and `plain` is false, else the plain view.

    Args:
        plain: whether lines are wanted in any case.
        stream: the output.
        keys: whether the live view says which keys there are.
    """
    if plain or not can_draw(stream):
        return PlainView(stream)
    # Imported here: rich takes time and memory that a service should not spend.
    from ser_daemon.views.live import LiveView

    return LiveView(stream, keys=keys)
