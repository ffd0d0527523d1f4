"""One connection to the message bus, by the bus's own client."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Mapping
from typing import Any

from ovos_bus_client import Message, MessageBusClient
from ovos_utils.log import LOG
from pyee import EventEmitter

from ser_bridges.ovos.address import BusAddress

PING_SECONDS, PONG_SECONDS = 30, 10
"""A bus that does not answer a ping in time is taken for gone."""

SESSION = {"session": {"session_id": "default"}, "source": "ser-daemon"}
"""Context of our messages: the session of the device itself, since it is about its microphone."""

# Errors are ours to report, once and in a sentence.
LOG.set_level("CRITICAL")


class Connection(MessageBusClient):  # type: ignore[misc]
    """Ends where the client would try again: that, and what waits meanwhile, is the bridge's work.

    Args:
        address: of the bus.
        handlers: called for messages of these types, on the connection's thread.
        opened: called when the bus has answered, on the connection's thread.
    """

    def __init__(
        self, address: BusAddress, handlers: Mapping[str, Callable[[], None]], opened: Callable[[], None]
    ) -> None:
        # The client's own emitter would start several threads.
        super().__init__(**address._asdict(), emitter=EventEmitter())
        self.error: BaseException | None = None
        """Why the connection ended."""
        self._called = handlers
        self.on("open", opened)

    @property
    def url(self) -> str:
        """Where the bus is."""
        return str(self.client.url)

    def start(self, ended: Callable[[], None]) -> None:
        """Connect on a thread; `ended` is called on it at the end."""

        def work() -> None:
            try:
                self.client.run_forever(ping_interval=PING_SECONDS, ping_timeout=PONG_SECONDS)
            except Exception as error:
                self.error = self.error or error
            ended()

        # A daemon: the attempt to reach a host that does not answer must not hold up the end of the process.
        threading.Thread(target=work, name="ovos-bus", daemon=True).start()

    async def send(self, kind: str, data: dict[str, Any]) -> None:
        """Send a message.

        Raises:
            Exception: the connection is broken.
        """
        text = Message(kind, data, dict(SESSION)).serialize()
        loop = asyncio.get_running_loop()
        sent: asyncio.Future[None] = loop.create_future()

        def settle(error: Exception | None) -> None:
            if not sent.done():
                sent.set_exception(error) if error is not None else sent.set_result(None)

        def work() -> None:
            error = None
            try:
                self.client.send(text)
            except Exception as raised:
                error = raised
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(settle, error)

        # There is one at a time, a few a minute. As a daemon it does not hold up the end where a send is stuck.
        threading.Thread(target=work, name="ovos-send", daemon=True).start()
        await sent

    def stop(self) -> None:
        """End the connection, without waiting for the bus to agree."""
        threading.Thread(target=self.close, name="ovos-close", daemon=True).start()

    def on_message(self, *args: Any) -> None:
        """Call the handler of a message, in the order of the messages.

        What is no message is ignored, since any program may write to the bus. Unlike the client, this keeps no
        sessions: their number has no bound.
        """
        try:
            kind = Message.deserialize(args[-1]).msg_type
        except Exception as error:
            LOG.debug(f"Not a message: {error}")
            return
        if isinstance(kind, str) and kind in self._called:
            self._called[kind]()

    def on_error(self, *args: Any) -> None:
        """Note why the connection ends."""
        self.error = args[-1]
