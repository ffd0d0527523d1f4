"""A real `ser-wyoming` process, and what a client of the official package sends to it. All waits are bounded."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient
from wyoming.event import Event
from wyoming.ping import Ping

from support.daemon import WAIT, wait_for


class WyomingBridge:
    """The process.

    Args:
        arguments: Further arguments of the command line.
        uri: Where it listens; `None`: a Unix socket in its own folder.
        environment: Variables in addition to those of this process.
    """

    def __init__(self, *arguments: str, uri: str | None = None, environment: dict[str, str] | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="wyo-", dir="/tmp"))
        self.path = self.folder / "wyoming.sock"
        self.uri = uri or f"unix://{self.path}"
        self.log = self.folder / "stderr"
        environ = {name: value for name, value in os.environ.items() if not name.startswith("SER_")}
        environ |= {"XDG_CONFIG_HOME": str(self.folder / "config"), "XDG_STATE_HOME": str(self.folder / "state")}
        command = [sys.executable, "-m", "ser_bridges.wyoming.cli", "--uri", self.uri, *arguments]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, env=environ | (environment or {}), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def __enter__(self) -> WyomingBridge:
        wait_for(lambda: "Serving" in self.stderr or self.process.poll() is not None)
        assert self.process.poll() is None, self.stderr
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def stderr(self) -> str:
        return self.log.read_text()

    def client(self) -> AsyncClient:
        """Return a client of the official package; enter it to connect."""
        return AsyncClient.from_uri(self.uri, connect_timeout=WAIT, read_timeout=WAIT)

    def raw(self) -> socket.socket:
        """Connect a plain socket (Unix sockets only)."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(WAIT)
        sock.connect(str(self.path))
        return sock

    def memory_mb(self) -> float:
        """Resident memory of the process."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def play(
    client: AsyncClient, data: bytes, *, rate: int = 16_000, width: int = 2, channels: int = 1, frames: int = 1_000
) -> list[Event]:
    """Send audio as fast as it goes, from start to stop; return the events up to the answer to a ping after it."""
    # Events are read meanwhile: the service disconnects who does not read.
    reading = asyncio.create_task(until_pong(client))
    await client.write_event(AudioStart(rate, width, channels).event())
    step = frames * width * channels
    for start in range(0, len(data), step):
        await client.write_event(AudioChunk(rate, width, channels, audio=data[start : start + step]).event())
    await client.write_event(AudioStop().event())
    await client.write_event(Ping("end").event())
    async with asyncio.timeout(120):
        return await reading


async def until_pong(client: AsyncClient) -> list[Event]:
    """Return the events before the next pong."""
    events: list[Event] = []
    while True:
        event = await client.read_event()
        assert event is not None, "the service closed the connection"
        if event.type == "pong":
            return events
        events.append(event)


def finals(events: list[Event]) -> list[dict[str, Any]]:
    """Return the data of the final emotions."""
    return [event.data for event in events if event.type == "emotion" and event.data["final"]]


def tone(seconds: float) -> bytes:
    """Return a tone at 16 kHz, 16 bit: audio without speech."""
    return (8_000 * np.sin(np.arange(int(16_000 * seconds)) * 0.2)).astype(np.int16).tobytes()


def gone(sock: socket.socket) -> bool:
    """Read until the other side ends the connection; False after `WAIT`."""
    deadline = time.monotonic() + WAIT
    try:
        while time.monotonic() < deadline:
            if not sock.recv(65_536):
                return True
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    return False
