"""The daemon's events for clients that subscribe, over one connection to the daemon."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from ser_bridges.daemon import Daemon
from ser_bridges.wyoming.encoding import encode, encode_error
from ser_daemon.client import Event, Hello
from ser_daemon.wire.publisher import Filter
from ser_model.errors import SerError

log = logging.getLogger(__name__)


class Subscriber(Protocol):
    """A client."""

    def send(self, event: bytes) -> None:
        """Send an encoded event."""


class Subscribers:
    """Clients that get the daemon's events. The daemon is connected to while there are any."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._filters: dict[Subscriber, Filter] = {}
        self._following: asyncio.Task[None] | None = None
        self._hello: bytes | None = None
        """Of the connection that there is now."""
        self._loss: bytes | None = None

    def add(self, client: Subscriber, wanted: Filter) -> None:
        """Send a client what it wants from now on; again: change what it wants."""
        is_new = client not in self._filters
        self._filters[client] = wanted
        if self._following is None:
            self._following = asyncio.create_task(self._follow())
        elif is_new and (first := self._hello or self._loss) is not None:
            client.send(first)

    def remove(self, client: Subscriber) -> None:
        """Send a client nothing more; no error if it never subscribed."""
        self._filters.pop(client, None)
        if not self._filters:
            self.close()

    def close(self) -> None:
        """End the connection to the daemon."""
        if self._following is not None:
            self._following.cancel()
        self._following = self._hello = self._loss = None

    async def _follow(self) -> None:
        try:
            async for event in self._daemon.follow(on_lost=self._lost):
                self._publish(event)
        except SerError as error:
            # It is no use to try again: this user may not connect, or another program listens there.
            log.warning("%s", error)
            self._lost(error)

    def _publish(self, event: Event) -> None:
        line = encode(event.type, event.data())
        if isinstance(event, Hello):
            self._hello, self._loss = line, None
        for client, wanted in tuple(self._filters.items()):
            if isinstance(event, Hello) or wanted.matches(event):
                client.send(line)

    def _lost(self, error: SerError) -> None:
        self._hello, self._loss = None, encode_error("no-daemon", str(error))
        for client in tuple(self._filters):
            client.send(self._loss)
