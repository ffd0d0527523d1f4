"""The view in the terminal that the daemon was started from."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from ser_daemon.service.output_thread import OutputThread
from ser_daemon.views.keys import Keyboard, LabelKeys
from ser_daemon.views.view import View
from ser_daemon.wire.events import Event
from ser_daemon.wire.status import Status
from ser_model.console import drop_output

log = logging.getLogger(__name__)

LEVEL_PERIOD = 0.1
"""Seconds between two level updates of the live view."""

Draw = Callable[[View, int], None]
"""Draws one thing; the number is that of the things that were lost directly before it."""


class Screen:
    """An optional view. It belongs to a thread of its own, since its terminal may block, and may go away."""

    def __init__(
        self,
        make_view: Callable[[], View] | None,
        *,
        live: bool,
        size: int,
        gone: Callable[[], None],
        label: Callable[[str, str], Awaitable[Mapping[str, object]]] | None = None,
    ) -> None:
        """Prepare; `open` shows the view.

        Args:
            make_view: called on the view's thread; None: there is no view.
            live: the view shows the level.
            size: events that may wait for the terminal.
            gone: called once on the event loop when the terminal or pipe has gone away.
            label: corrects the label of an utterance; None: no keys are read.
        """
        self._make_view = make_view
        self._live = live
        self._size = size
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._output: OutputThread[Draw] | None = None
        self._levels: asyncio.Task[None] | None = None
        self._label_keys = None if label is None else LabelKeys(self._prompt, label)
        self._keyboard = None if self._label_keys is None else Keyboard(self._label_keys.pressed)
        self._level_waits = False
        """A level is queued; a second one would only be older when it is drawn."""
        self._view: View | None = None
        """Belongs to the view's thread; likewise below."""
        self._failed = False

    @property
    def dropped(self) -> int:
        """Events that were not shown because the terminal did not take them."""
        return 0 if self._output is None else self._output.dropped

    def open(self, status: Callable[[], Status], notice: str | None) -> None:
        """Open the view, unless it is open; it gets the same greeting as a subscriber."""
        if self._output is not None or self._make_view is None:
            return
        self._output = OutputThread("view", self._draw, self._size)
        if self._keyboard is not None:
            self._keyboard.open()
        self.event(status().hello())
        if notice is not None:
            self._output.put(lambda view, lost: view.message(notice))
        if self._live:
            self._levels = self._loop.create_task(self._show_levels(status))

    def event(self, event: Event) -> None:
        """Show an event; never waits for the terminal."""
        if self._label_keys is not None:
            self._label_keys.event(event)
        if self._output is not None:
            self._output.put(lambda view, lost: view.event(replace(event, dropped=event.dropped + lost)))

    def close_keyboard(self) -> None:
        """Give the keys back to the terminal, whatever else hangs; `close` does it too."""
        if self._keyboard is not None:
            self._keyboard.close()

    async def drain(self, until: Callable[[], bool]) -> None:
        """Wait until all events are shown, or until `until` is true: a reader may take its time."""
        if self._levels is not None:
            self._levels.cancel()
        while self._output is not None and not self._output.idle and not until():
            await asyncio.sleep(LEVEL_PERIOD / 2)

    def close(self, seconds: float) -> bool:
        """Close the view and restore the terminal; return whether all of it was written within `seconds`."""
        self.close_keyboard()
        if self._levels is not None:
            self._levels.cancel()
        if self._output is None:
            return True
        self._output.put(lambda view, lost: view.close())
        return self._output.close(seconds)

    def _prompt(self, text: str | None) -> None:
        if self._output is not None:
            self._output.put(lambda view, lost: view.prompt(text))

    async def _show_levels(self, status: Callable[[], Status]) -> None:
        """Send the level to the live view until it is closed; the view redraws with it."""
        while True:
            await asyncio.sleep(LEVEL_PERIOD)
            if self._output is not None and not self._level_waits:
                self._level_waits = True
                self._output.put(self._level(status()))

    def _level(self, status: Status) -> Draw:
        def draw(view: View, lost: int) -> None:
            self._level_waits = False
            view.level(status.level_dbfs, status.noise_floor_dbfs)

        return draw

    def _draw(self, draw: Draw, lost: int) -> None:
        """Draw on the view's thread."""
        if self._failed or self._make_view is None:
            return
        try:
            if self._view is None:
                self._view = self._make_view()
            draw(self._view, lost)
        except OSError as error:
            self._failed = True
            if error.errno in (errno.EPIPE, errno.EIO):
                # The loop may be closed by now; then the daemon ends anyway.
                with contextlib.suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._gone)
            else:
                # A full disk must not stop the daemon: subscribers are not affected.
                log.warning("Nothing more is shown: %s.", error.strerror)
                # What is still buffered would fail once more at the end, and then be the result of the command.
                drop_output()
