"""Part of `mqtt_fleet.py`: the events of a real daemon, replayed on a socket for each room."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ser_daemon
from ser_model import read_audio

DEMO = Path(ser_daemon.__file__).parent / "data/demo.flac"
HELLO: dict[str, Any] = {
    "type": "hello",
    "data": {"server": "replay", "model": "m", "labels": [], "state": "listening", "speaking": False, "muted": False},
}


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
