"""What the daemon itself shows in the terminal that it was started from."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
from collections.abc import Callable
from functools import partial

from ser_daemon.views.view import PlainView, View
from ser_daemon.wire.status import Status

log = logging.getLogger(__name__)

LEVEL_PERIOD = 0.1
"""Seconds between two levels for the live view."""


class Screen:
    """A view that may be absent, and may lose its terminal."""

    def __init__(self, gone: Callable[[], None]) -> None:
        """Show nothing yet.

        Args:
            gone: called once when the terminal or pipe is no longer there.
        """
        self._gone = gone
        self._opened = False
        self._view: View | None = None
        self._levels: asyncio.Task[None] | None = None

    def open(self, make_view: Callable[[], View] | None, status: Callable[[], Status], notice: str | None) -> None:
        """Begin to show, if that has not begun; greets the view as a subscriber would be greeted."""
        if self._opened or make_view is None:
            return
        self._opened = True
        self._view = make_view()
        hello = status().hello()
        self.show(lambda view: view.event(hello))
        if notice is not None:
            self.show(lambda view: view.message(notice))
        if not isinstance(self._view, PlainView):
            self._levels = asyncio.get_running_loop().create_task(self._show_levels(status))

    def show(self, draw: Callable[[View], None]) -> None:
        """Draw, where there is something to draw on."""
        if self._view is None:
            return
        try:
            draw(self._view)
        except OSError as error:
            self._view = None
            if error.errno in (errno.EPIPE, errno.EIO):
                self._gone()
            else:
                # A full disk is no reason to stop listening: subscribers have other places.
                log.warning("Nothing more is shown: %s.", error.strerror)

    async def _show_levels(self, status: Callable[[], Status]) -> None:
        """Feed the live view, whose pulse this is, until it is closed."""
        while True:
            await asyncio.sleep(LEVEL_PERIOD)
            self.show(partial(_draw_level, status=status()))

    def close(self) -> None:
        """Give the terminal back."""
        if self._levels is not None:
            self._levels.cancel()
        view, self._view = self._view, None
        if view is not None:
            with contextlib.suppress(OSError):
                view.close()


def _draw_level(view: View, status: Status) -> None:
    view.level(status.level_dbfs, status.noise_floor_dbfs)
