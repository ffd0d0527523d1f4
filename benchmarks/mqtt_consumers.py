"""Part of `mqtt_fleet.py`: processes that run the bridges of many rooms, and consumers of what they publish."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import time
from multiprocessing.connection import Connection
from pathlib import Path

PREFIX = "fleet"
PATIENCE = 30.0
"""Seconds after which a final that has not arrived is lost: on a busy machine many are on their way at the end."""


def run_rooms(folder: Path, port: int, rooms: range) -> None:
    """Run the bridges of many rooms in this process, for ever."""
    from ser_bridges.daemon import Daemon
    from ser_bridges.mqtt.bridge import Bridge
    from ser_bridges.mqtt.broker import Broker
    from ser_bridges.mqtt.settings import Settings

    async def run() -> None:
        bridges = []
        for room in rooms:
            settings = Settings(port=port, room=f"room {room}", id=f"fleet-{room}", topic_prefix=PREFIX, partials=True)
            bridges.append(Bridge(settings, Daemon(folder / f"{room}.sock"), Broker(settings)).run())
        await asyncio.gather(*bridges)

    asyncio.run(run())


def consume(port: int, topics: list[str], pipe: Connection) -> None:
    """Collect deliveries; on any word from the pipe answer with those since the last, and their keys."""
    import aiomqtt

    async def run() -> None:
        delays: list[tuple[bool, float]] = []
        async with aiomqtt.Client("localhost", port, protocol=aiomqtt.ProtocolVersion.V5) as client:
            for topic in topics:
                await client.subscribe(topic, qos=1)
            pipe.send("ready")

            async def answer() -> None:
                while True:
                    if pipe.poll():
                        pipe.recv()
                        pipe.send(list(delays))
                        delays.clear()
                    await asyncio.sleep(0.05)

            task = asyncio.create_task(answer())
            async for message in client.messages:
                data = json.loads(bytes(message.payload))
                delays.append((data["final"], time.monotonic() * 1000 - data["latency_ms"]))
            task.cancel()

    asyncio.run(run())


class Consumer:
    """A consumer in a process of its own."""

    def __init__(self, port: int, *topics: str) -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=consume, args=(port, list(topics), theirs), daemon=True)
        self.process.start()
        assert self._pipe.recv() == "ready"

    async def take(self) -> list[tuple[bool, float]]:
        self._pipe.send("take")
        while not self._pipe.poll():
            await asyncio.sleep(0.02)
        taken: list[tuple[bool, float]] = self._pipe.recv()
        return taken


async def all_online(port: int, rooms: int) -> None:
    """Wait until every room is on the broker, with its daemon."""
    import aiomqtt

    online: set[str] = set()
    async with asyncio.timeout(120), aiomqtt.Client("localhost", port) as client:
        await client.subscribe(f"{PREFIX}/+/+/daemon", qos=1)
        async for message in client.messages:
            if message.payload == b"online":
                online.add(str(message.topic))
            if len(online) == rooms:
                return


async def drain(consumer: Consumer, shared: list[Consumer], finals: int) -> tuple[list[tuple[bool, float]], list[int]]:
    """Wait for what is on its way; return what one consumer got, and how many each of those that share."""
    got: list[tuple[bool, float]] = []
    parts = [0 for _ in shared]
    deadline = time.monotonic() + PATIENCE
    while (sum(final for final, _ in got) < finals or sum(parts) < finals) and time.monotonic() < deadline:
        await asyncio.sleep(0.2)
        got += await consumer.take()
        parts = [part + len(await each.take()) for part, each in zip(parts, shared, strict=True)]
    return got, parts
