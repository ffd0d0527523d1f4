"""The bridge: from the daemon to the outbox, from the outbox to the broker, and commands back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from functools import partial
from typing import Any

from ser_bridges.command import check_cancelled, together
from ser_bridges.daemon import Daemon
from ser_bridges.mqtt.broker import Broker
from ser_bridges.mqtt.commands import carry_out
from ser_bridges.mqtt.discovery import discovery
from ser_bridges.mqtt.messages import Publisher
from ser_bridges.mqtt.outbox import Outbox
from ser_bridges.mqtt.settings import Settings
from ser_daemon.backoff import Backoff
from ser_model import __version__
from ser_model.errors import SerError

log = logging.getLogger(__name__)

FIRST_DELAY, LONGEST_DELAY = 1.0, 60.0
"""Seconds between attempts to reach the broker; each is shortened by up to a half at random, so that a fleet does not
come back at once."""

STABLE = 30.0
"""A connection that lasted so many seconds works, and the next delay is short again."""

DIAGNOSTICS = 60.0
"""Seconds between two messages with diagnostics."""

SPREAD = 2.0
"""Longest random delay in seconds before everything is sent again to a Home Assistant that has started."""

GOOD_BYE = 2.0
"""Seconds for saying `offline` at the end."""


class Bridge:
    """One microphone on one broker."""

    def __init__(self, settings: Settings, daemon: Daemon, broker: Broker) -> None:
        """Prepare; nothing is connected."""
        self._daemon = daemon
        self._broker = broker
        self._topics = settings.topics
        self._allowed = settings.allowed
        self._discovery = settings.discovery
        self._outbox = Outbox()
        make = partial(discovery, self._topics, settings.device, settings.room_name, __version__)
        self._publisher = Publisher(
            self._topics,
            settings.room_name,
            self._outbox,
            discovery=(lambda labels: make(labels=labels)) if settings.discovery else None,
            partials=settings.partials,
        )
        self._partials = settings.partials
        self._ever = False
        """Whether the broker has accepted us once."""
        self._accepted: float | None = None
        """When it accepted the present connection, `time.monotonic`."""

    async def run(self) -> None:
        """Work until cancelled.

        Raises:
            SerError: the broker refused the first connection for a reason that stays, or the daemon's socket is not
                for us.
        """
        await together(self._follow(), self._connect())

    async def _follow(self) -> None:
        def lost(error: SerError) -> None:
            self._publisher.daemon_lost(str(error))

        async with contextlib.aclosing(self._daemon.follow(partial=self._partials, on_lost=lost)) as events:
            async for event in events:
                self._publisher.event(event)

    async def _diagnose(self) -> None:
        while True:
            status: dict[str, Any] = {}
            with contextlib.suppress(SerError):
                status = await self._daemon.query("status")
            self._publisher.diagnostics(status)
            await asyncio.sleep(DIAGNOSTICS)

    async def _connect(self) -> None:
        import aiomqtt

        backoff = Backoff(FIRST_DELAY, LONGEST_DELAY)
        said = ""
        while True:
            self._accepted = None
            try:
                # Each connection in a task of its own, as `check_cancelled` asks.
                await asyncio.create_task(self._session())
            except (aiomqtt.MqttError, OSError) as error:
                lasted = self._lasted()
                failure = self._broker.explain(error, lasted)
            else:
                continue
            if failure.permanent and not self._ever:
                raise SerError(failure.text)
            if failure.text != said:
                log.warning("%s Trying again.", failure.text)
                said = failure.text
            if lasted is not None and lasted > STABLE:
                backoff.reset()
                said = ""
            await asyncio.sleep(backoff.failed(time.monotonic()) * random.uniform(0.5, 1.0))

    def _lasted(self) -> float | None:
        """Return the age in seconds of the present connection, or of the one that has failed; None: there was none."""
        return None if self._accepted is None else time.monotonic() - self._accepted

    async def _session(self) -> None:
        async with self._broker.client() as client:
            log.info("Connected to the broker %s as %s.", self._broker.name, client.identifier)
            self._ever, self._accepted = True, time.monotonic()
            await self._serve(client)

    async def _serve(self, client: Any) -> None:
        self._outbox.online = True
        try:
            check_cancelled()
            await client.subscribe(self._topics.command("+"), qos=1)
            if self._discovery:
                await client.subscribe(self._topics.home_assistant, qos=1)
            check_cancelled()
            self._publisher.repeat()
            await together(self._send(client), self._receive(client), self._diagnose())
        except asyncio.CancelledError:
            # A will is sent only where the connection breaks.
            with contextlib.suppress(Exception):
                async with asyncio.timeout(GOOD_BYE):
                    await client.publish(self._topics.status, "offline", qos=1, retain=True)
            raise
        finally:
            self._outbox.online = False
            self._outbox.drop_partials()

    async def _send(self, client: Any) -> None:
        while True:
            key, message = await self._outbox.first()
            payload = message.payload(time.monotonic())
            await client.publish(message.topic, payload, qos=message.qos, retain=message.retain)
            log.debug("Sent %s %s", message.topic, payload)
            self._outbox.sent(key, message)
            check_cancelled()

    async def _receive(self, client: Any) -> None:
        async for message in client.messages:
            log.debug("Received %s %r", message.topic, message.payload)
            if str(message.topic) == self._topics.home_assistant:
                if message.payload == b"online" and not message.retain:
                    await asyncio.sleep(random.uniform(0, SPREAD))
                    self._publisher.repeat()
            elif not await carry_out(message, self._daemon, self._allowed):
                self._publisher.repeat_mute()


async def forget(settings: Settings, broker: Broker) -> None:
    """Remove the device from Home Assistant, and every message that the broker keeps for it.

    Raises:
        SerError: the broker cannot be reached.
    """
    import aiomqtt

    try:
        async with broker.client() as client:
            for topic in (settings.topics.config, *settings.topics.states):
                await client.publish(topic, b"", qos=1, retain=True)
    except (aiomqtt.MqttError, OSError) as error:
        raise SerError(broker.explain(error).text) from None
