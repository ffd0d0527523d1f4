"""Measure `ser-mqtt`: what one bridge costs, and how far one Mosquitto goes with the rooms of a fleet.

A real daemon hears the demo recording once. Its events are then replayed to many rooms at once, each at another place
of the recording, over Unix sockets as a daemon's. Each room has the bridge's own code and its own connection to the
broker; all rooms share one process, so that a small machine can run a hundred. One bridge runs as a process, for its
processor time and memory. A consumer in a process of its own measures delivery: from the moment at which the replay
writes an event to the moment at which the consumer has it. Two further consumers share one subscription (MQTT 5).

Needs mosquitto and the extra mqtt: python benchmarks/mqtt_fleet.py
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

import ser_daemon
from ser_model import read_audio

DEMO = Path(ser_daemon.__file__).parent / "data/demo.flac"
HELLO: dict[str, Any] = {
    "type": "hello",
    "data": {"server": "replay", "model": "m", "labels": [], "state": "listening", "speaking": False, "muted": False},
}
PREFIX = "fleet"
PATIENCE = 30.0
"""Seconds after which a final that has not arrived is lost: on a busy machine many are on their way at the end."""


@dataclass(frozen=True)
class Step:
    """An event of the recording, and when it came, in seconds from its start."""

    at: float
    event: dict[str, Any]


def record(folder: Path) -> tuple[list[Step], float]:
    """Let a daemon hear the demo; return its events and the length of the recording in seconds."""
    samples = read_audio(DEMO)
    path = folder / "ser.sock"
    command = [
        sys.executable,
        "-m",
        "ser_daemon.cli.daemon",
        "--socket",
        str(path),
        "--mic",
        "stdin",
        "--rate",
        "16000",
    ]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as daemon:
        assert daemon.stdin is not None
        with socket.socket(socket.AF_UNIX) as sock:
            while True:
                with contextlib.suppress(OSError):
                    sock.connect(str(path))
                    break
                time.sleep(0.05)
            with sock.makefile("rb") as lines:
                next(lines)
                daemon.stdin.write(samples.tobytes())
                daemon.stdin.close()
                events = [json.loads(line) for line in lines]
    steps, at = [], 0.0
    for event in events:
        if event["type"] == "audio-state":
            continue
        at = max(at, event["data"]["timestamp"] / 1000)
        steps.append(Step(at, event))
    return steps, len(samples) / 16_000


class Replay:
    """Serves the recording on a socket for each room, in a loop."""

    def __init__(self, folder: Path, steps: list[Step], length: float) -> None:
        self._folder = folder
        self._steps = steps
        self._length = length
        self.speed = 0.0
        """How many times faster than real time; 0: silence."""
        self.sent: Counter[bool] = Counter()
        """Emotions sent, by whether they were final."""
        self._servers: list[asyncio.Server] = []

    async def open(self, rooms: int) -> None:
        for room in range(rooms):
            server = await asyncio.start_unix_server(self._serve, self._folder / f"{room}.sock")
            self._servers.append(server)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(json.dumps(HELLO).encode() + b"\n")
        partial = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                request = json.loads(await reader.readline() or b"{}")
            name = request.get("type")
            if name != "subscribe":
                writer.write(json.dumps({"type": "status", "id": request.get("id"), "data": {}}).encode() + b"\n")
                writer.close()
                return
            partial = request["data"]["partial"]
            writer.write(json.dumps({"type": "subscribed", "id": request["id"], "data": {}}).encode() + b"\n")
        place = random.randrange(len(self._steps))
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while not writer.is_closing():
                if not self.speed:
                    await asyncio.sleep(0.05)
                    continue
                step, following = self._steps[place], self._steps[(place + 1) % len(self._steps)]
                place = (place + 1) % len(self._steps)
                data = step.event["data"]
                wait = (following.at - step.at) % self._length / self.speed
                if not partial and data.get("final") is False:
                    await asyncio.sleep(wait)
                    continue
                if step.event["type"] == "emotion":
                    # The moment of sending travels where a daemon puts its own delay.
                    data = data | {"latency_ms": time.monotonic() * 1000}
                    self.sent[data["final"]] += 1
                writer.write(json.dumps({"type": step.event["type"], "data": data}).encode() + b"\n")
                await writer.drain()
                await asyncio.sleep(wait)


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


def cpu_seconds(pid: int) -> float:
    """Processor time of all threads of a process, to a nanosecond (proc_pid_schedstat)."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def memory_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 1024


@contextlib.contextmanager
def broker(folder: Path) -> Any:
    program = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")
    if program is None:
        raise SystemExit("mqtt_fleet: mosquitto is not installed (Debian: sudo apt-get install mosquitto).")
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 100000\nset_tcp_nodelay true\n"
    )
    process = subprocess.Popen([program, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(1)
    try:
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


async def measure(folder: Path, rooms: int, speeds: list[float], seconds: float) -> None:
    steps, length = await asyncio.to_thread(record, folder)
    emotions = sum(step.event["type"] == "emotion" for step in steps)
    print(
        f"The recording: {length:.0f} s, {emotions} results. Load of the machine: {os.getloadavg()[0]:.1f}.", flush=True
    )
    replay = Replay(folder, steps, length)
    await replay.open(rooms + 1)
    with broker(folder) as (port, broker_pid):
        await measure_one(folder, replay, port, rooms, seconds)
        fleet = multiprocessing.Process(target=run_rooms, args=(folder, port, range(rooms)), daemon=True)
        fleet.start()
        topics = [f"{PREFIX}/+/+/utterance", f"{PREFIX}/+/+/partial"]
        all_of_it = await asyncio.to_thread(Consumer, port, *topics)
        shared = [await asyncio.to_thread(Consumer, port, f"$share/both/{topics[0]}") for _ in range(2)]
        await all_online(port, rooms)
        print(
            "rooms' worth | results/s | finals lost | p50 ms | p99 ms | finals p99 ms | shared 1 + 2 of finals"
            " | CPU broker | CPU all bridges | load"
        )
        for speed in speeds:
            for consumer in (all_of_it, *shared):
                await consumer.take()
            replay.sent.clear()
            before = cpu_seconds(broker_pid), cpu_seconds(fleet.pid or 0)
            replay.speed = speed
            await asyncio.sleep(seconds)
            replay.speed = 0.0
            got, parts = await drain(all_of_it, shared, replay.sent[True])
            used = cpu_seconds(broker_pid) - before[0], cpu_seconds(fleet.pid or 0) - before[1]
            delays = np.array([delay for _, delay in got])
            finals = np.array([delay for final, delay in got if final])
            p50, p99 = np.percentile(delays, [50, 99])
            sent, rate = replay.sent[True], len(got) / seconds
            print(
                f"{rooms * speed:,.0f} | {rate:.0f} | {sent - len(finals)} of {sent} | {p50:.1f} | {p99:.1f}"
                f" | {np.percentile(finals, 99):.1f} | {parts[0]} + {parts[1]} of {sent}"
                f" | {used[0] / seconds:.1%} | {used[1] / seconds:.1%} | {os.getloadavg()[0]:.1f}",
                flush=True,
            )
        for process in (fleet, all_of_it.process, *(consumer.process for consumer in shared)):
            process.terminate()


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


async def measure_one(folder: Path, replay: Replay, port: int, room: int, seconds: float) -> None:
    """Print what one bridge as a process costs."""
    command = [
        sys.executable,
        "-m",
        "ser_bridges.mqtt.cli",
        "--port",
        str(port),
        "--socket",
        str(folder / f"{room}.sock"),
    ]
    command += ["--id", "alone", "--topic-prefix", PREFIX + "-alone"]
    for name, options in (("finals", []), ("with partials", ["--partials"])):
        process = subprocess.Popen([*command, *options], stderr=subprocess.DEVNULL)
        await asyncio.sleep(4)
        for state, speed in (("idle", 0.0), ("while the demo plays", 1.0)):
            replay.speed = speed
            before = cpu_seconds(process.pid)
            await asyncio.sleep(seconds)
            used = cpu_seconds(process.pid) - before
            print(
                f"one bridge, {name}, {state}: {used / seconds:.2%} of a core, {memory_mb(process.pid):.1f} MB",
                flush=True,
            )
        replay.speed = 0.0
        process.terminate()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure ser-mqtt with the rooms of a fleet.")
    parser.add_argument("--rooms", type=int, default=100)
    parser.add_argument("--speeds", type=float, nargs="+", default=[1, 4, 16], help="times faster than real time")
    parser.add_argument("--seconds", type=float, default=15, help="for each figure")
    options = parser.parse_args()
    # The consumers and the fleet must not share the event loop's state.
    multiprocessing.set_start_method("spawn")
    with tempfile.TemporaryDirectory(prefix="ser-", dir="/tmp") as folder:
        asyncio.run(measure(Path(folder), options.rooms, options.speeds, options.seconds))


if __name__ == "__main__":
    main()
