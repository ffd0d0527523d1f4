"""A server on real Unix sockets, with a scripted daemon behind it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from ser_daemon.wire import events
from ser_daemon.wire.protocol import CaptureState
from ser_daemon.wire.publisher import Publisher
from ser_daemon.wire.server import Server, Status
from ser_model.errors import SerError
from ser_model.labels import LABELS
from support.patience import PATIENCE

TIMEOUT = 10.0 * PATIENCE
"""Longest time in seconds that a test waits."""


class ScriptedControl:
    """Records the control verbs that it gets."""

    def __init__(self) -> None:
        self.calls: list[object] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def mute(self) -> None:
        await self.gate.wait()
        self.calls.append("mute")

    async def unmute(self) -> None:
        self.calls.append("unmute")

    async def hold(self, ms: int | None) -> None:
        self.calls.append(("hold", ms))

    async def release(self) -> None:
        raise ZeroDivisionError

    async def reload(self) -> str:
        raise SerError("config.yaml:3: gate.engine must be silero or webrtc.")

    async def reset_adaptation(self) -> str:
        return "What was learnt is forgotten."

    async def label(self, utterance_id: str, label: str) -> dict[str, object]:
        self.calls.append(("label", utterance_id, label))
        return {"utterance_id": "u-17", "label": label, "taught": 2, "text": f"u-17 counts as {label}."}

    async def taught(self, start: int | None) -> dict[str, object]:
        self.calls.append(("taught", start))
        if start is None:
            newest = [{"time": "2026-11-22T08:44:01Z", "label": "happy", "utterance_id": "u-17"}]
            return {"model": "m", "profile": {}, "corrections": {"happy": 1, "sad": 1}, "newest": newest}
        examples = [{"source": "correction", "label": label} for label in ("sad", "happy")]
        return {"model": "m", "examples": [examples[start]], "next": start + 1 if start + 1 < len(examples) else None}


class Peer:
    """A client that sends and reads single lines."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def raw(self) -> bytes:
        async with asyncio.timeout(TIMEOUT):
            return await self.reader.readline()

    async def line(self) -> dict[str, Any]:
        return json.loads(await self.raw())

    async def send(self, message: bytes | dict[str, object]) -> None:
        self.writer.write(message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n")
        async with asyncio.timeout(TIMEOUT):
            await self.writer.drain()

    async def ask(self, message: bytes | dict[str, object]) -> dict[str, Any]:
        await self.send(message)
        return await self.line()


class Wire:
    """The server under test and the means to talk to it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ser.sock"
        self.control_path = folder / "ser-control.sock"
        self.publisher = Publisher()
        self.control = ScriptedControl()
        self.status = Status(state=CaptureState.LISTENING, model="reslstm-sa-h64", device="USB Mic")
        self.server = self.make_server()
        self.peers: list[Peer] = []

    def make_server(self, **options: Any) -> Server:
        return Server(self.publisher, self.control, lambda: self.status, lambda: {"xruns": 2}, **options)

    async def start(self) -> None:
        await self.server.start(self.path, self.control_path, {})

    async def connect(self, path: Path | None = None) -> Peer:
        peer = Peer(*await asyncio.open_unix_connection(path or self.path))
        self.peers.append(peer)
        return peer

    async def listen(self) -> Peer:
        """Connect and read the greeting."""
        peer = await self.connect()
        assert (await peer.line())["type"] == "hello"
        return peer

    async def until(self, condition: Callable[[], bool]) -> None:
        """Run the loop until a condition holds."""
        async with asyncio.timeout(TIMEOUT):
            while not condition():
                await asyncio.sleep(0.005)

    async def close(self) -> None:
        await self.server.close()
        for peer in self.peers:
            peer.writer.close()


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a path short enough for a Unix socket."""
    return tmp_path_factory.mktemp("w")


@pytest.fixture
async def wire(folder: Path) -> AsyncIterator[Wire]:
    """A server that is listening."""
    wire = Wire(folder)
    await wire.start()
    yield wire
    await wire.close()


@pytest.fixture
def new_wire(folder: Path) -> Callable[[], Wire]:
    """Makes servers that don't listen yet."""
    return lambda: Wire(folder)


def make_emotion(**changes: Any) -> events.Emotion:
    values: dict[str, Any] = {
        "utterance_id": "u-17",
        "final": False,
        "label": "angry",
        "confidence": 0.58,
        "scores": {label: 0.58 if label == "angry" else 0.06 for label in LABELS},
        "calibrated": True,
        "arousal": 0.53,
        "valence": -0.22,
        "start": 182340,
        "end": 185340,
        "timestamp": 185341,
        "time": "2026-11-22T08:44:04.124Z",
        "latency_ms": 3.1,
        "voiced_ms": 2100,
        "snr_db": 24.5,
    }
    return events.Emotion(**{**values, **changes})


@pytest.fixture
def emotion() -> Callable[..., events.Emotion]:
    """Makes emotions; keyword arguments replace fields."""
    return make_emotion


@pytest.fixture
def started() -> events.VoiceStarted:
    return events.VoiceStarted(utterance_id="u-17", timestamp=182340, time="2026-11-22T08:44:01.123Z")


@pytest.fixture
def stopped() -> events.VoiceStopped:
    return events.VoiceStopped(utterance_id="u-17", timestamp=187100, time="2026-11-22T08:44:05.883Z")


@pytest.fixture
def command() -> Callable[..., list[str]]:
    """Makes the command line of a program of this project, run by this interpreter."""

    def make(module: str, *arguments: object) -> list[str]:
        code = f"from ser_daemon.cli.{module} import main; raise SystemExit(main())"
        return [sys.executable, "-c", code, *map(str, arguments)]

    return make
