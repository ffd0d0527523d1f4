"""The message bus over reconnections; what is to be sent waits in a bounded queue."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ser_bridges.ovos.address import BusAddress
from ser_bridges.ovos.connection import Connection
from ser_daemon.backoff import Backoff

log = logging.getLogger(__name__)

FIRST_DELAY, LONGEST_DELAY = 1.0, 30.0
"""Seconds between attempts to reach the bus; each is shortened by up to a half at random."""

STABLE = 30.0
"""A connection that lasted so many seconds works, and the next delay is short again."""

MOST_MESSAGES = 100
"""Messages that wait while the bus is away; the oldest go first. An assistant that starts has no use for more."""


class _Waiting(NamedTuple):
    kind: str
    data: dict[str, Any]
    made: float


class Bus:
    """Sends messages to the bus, and calls handlers for some that come from it.

    Args:
        address: of the bus.
        handlers: called on the event loop for messages of these types.
        on_change: called on the event loop with whether the bus is connected.
    """

    def __init__(
        self, address: BusAddress, handlers: Mapping[str, Callable[[], None]], on_change: Callable[[bool], None]
    ) -> None:
        self._address = address
        self._handlers = handlers
        self._on_change = on_change
        self._waiting: deque[_Waiting] = deque()
        self._filled = asyncio.Event()
        self._said = ""
        self.lost = 0
        """Messages that were pushed out by later ones."""

    def send(self, kind: str, data: dict[str, Any]) -> None:
        """Send a message as soon as the bus is there. Returns at once."""
        if len(self._waiting) >= MOST_MESSAGES:
            self._waiting.popleft()
            self.lost += 1
        self._waiting.append(_Waiting(kind, data, time.monotonic()))
        self._filled.set()

    async def run(self) -> None:
        """Work until cancelled."""
        backoff = Backoff(FIRST_DELAY, LONGEST_DELAY)
        while True:
            lasted = await self._connect()
            if lasted > STABLE:
                backoff.reset()
                self._said = ""
            await asyncio.sleep(backoff.failed(time.monotonic()) * random.uniform(0.5, 1.0))

    async def _connect(self) -> float:
        """Serve one connection to its end; return how many seconds it lasted, 0 where there was none."""
        loop = asyncio.get_running_loop()
        opened, ended = asyncio.Event(), asyncio.Event()

        def on_loop(call: Callable[[], object]) -> Callable[[], None]:
            def later() -> None:
                # The loop is closed where the process ends.
                if not loop.is_closed():
                    loop.call_soon_threadsafe(call)

            return later

        handlers = {name: on_loop(handler) for name, handler in self._handlers.items()}
        connection = Connection(self._address, handlers, on_loop(opened.set))
        connection.start(on_loop(ended.set))
        began = 0.0
        sending = None
        waits: list[asyncio.Task[Any]] = [asyncio.create_task(event.wait()) for event in (opened, ended)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if opened.is_set():
                began = time.monotonic()
                log.info("Connected to the message bus %s.", connection.url)
                self._on_change(True)
                sending = asyncio.create_task(self._send(connection))
                waits.append(sending)
                await asyncio.wait(waits[1:], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            connection.stop()
            if began:
                self._on_change(False)
        self._report(connection, was_open=bool(began))
        return time.monotonic() - began if began else 0.0

    async def _send(self, connection: Connection) -> None:
        """Send what waits; ends where the connection is broken. What was not sent waits on."""
        while True:
            if not self._waiting:
                self._filled.clear()
                await self._filled.wait()
            kind, data, made = first = self._waiting[0]
            late = {"late_ms": max(0, round((time.monotonic() - made) * 1000))}
            try:
                await connection.send(kind, data | late)
            # The client raises many kinds.
            except Exception as error:
                connection.error = connection.error or error
                return
            log.debug("Sent %s %s", kind, data)
            # It may have been pushed out meanwhile.
            if self._waiting and self._waiting[0] is first:
                self._waiting.popleft()

    def _report(self, connection: Connection, *, was_open: bool) -> None:
        error = connection.error
        if was_open:
            text = f"The message bus {connection.url} closed the connection."
        elif type(error).__name__ == "WebSocketBadStatusException" or isinstance(error, ValueError):
            text = f"What answers at {connection.url} is no message bus; check --url."
        else:
            reason = getattr(error, "strerror", None) or str(error or "") or "no answer"
            text = f"The message bus {connection.url} cannot be reached: {reason}."
        if text != self._said:
            self._said = text
            log.warning("%s Trying again.", text)
