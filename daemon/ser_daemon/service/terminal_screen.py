"""The view in the terminal that the daemon was started from."""

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
"""Seconds between two level updates of the live view."""


class Screen:
    """An optional view, whose terminal may go away."""

    def __init__(self, gone: Callable[[], None]) -> None:
        """Prepare; `open` shows the view.

        Args:
            gone: called once when the terminal or pipe has gone away.
        """
        self._gone = gone
        self._opened = False
        self._view: View | None = None
        self._levels: asyncio.Task[None] | None = None

    def open(self, make_view: Callable[[], View] | None, status: Callable[[], Status], notice: str | None) -> None:
        """Open the view, unless it is open; it gets the same greeting as a subscriber."""
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
        """Call `draw` with the view, if there is one."""
        if self._view is None:
            return
        try:
            draw(self._view)
        except OSError as error:
            self._view = None
            if error.errno in (errno.EPIPE, errno.EIO):
                self._gone()
            else:
                # A full disk must not stop the daemon: subscribers are not affected.
                log.warning("Nothing more is shown: %s.", error.strerror)

    async def _show_levels(self, status: Callable[[], Status]) -> None:
        """Send the level to the live view until it is closed; the view redraws with it."""
        while True:
            await asyncio.sleep(LEVEL_PERIOD)
            self.show(partial(_draw_level, status=status()))

    def close(self) -> None:
        """Close the view and restore the terminal."""
        if self._levels is not None:
            self._levels.cancel()
        view, self._view = self._view, None
        if view is not None:
            with contextlib.suppress(OSError):
                view.close()


def _draw_level(view: View, status: Status) -> None:
    view.level(status.level_dbfs, status.noise_floor_dbfs)
