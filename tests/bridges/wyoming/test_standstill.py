"""What has come to a standstill is ended: half an event, and audio that stops without a word."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from wyoming.audio import AudioChunk, AudioStart
from wyoming.client import AsyncUnixClient

from ser_bridges.wyoming import connection, server
from ser_bridges.wyoming.connection import Shared
from ser_bridges.wyoming.recognition import RecognitionSettings
from ser_bridges.wyoming.server import Server
from ser_bridges.wyoming.workers import Workers
from ser_daemon.sources.wyoming_uri import UnixAddress
from ser_model.config import DecisionConfig, GateConfig
from ser_model.network.estimator import Model
from support.speech import sentence


@pytest.fixture
async def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Path]:
    """Return the socket of a service with short limits of time."""
    monkeypatch.setattr(connection, "EVENT_SECONDS", 0.3)
    monkeypatch.setattr(connection, "QUIET_SECONDS", 0.3)
    monkeypatch.setattr(server, "CHECK_SECONDS", 0.1)
    workers = Workers(2)
    settings = RecognitionSettings(Model.load(), GateConfig(), DecisionConfig())
    running = Server(Shared(settings, workers, b"", None), max_clients=10)
    await running.start(UnixAddress(str(tmp_path / "s")))
    yield tmp_path / "s"
    await running.close()
    workers.stop()


@pytest.mark.parametrize(
    "half", [b'{"type":', b'{"type":"a","data_length":9}\n{', b'{"type":"a","payload_length":9}\n1']
)
async def test_half_an_event_ends_the_connection_after_a_while(path: Path, half: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(half)
    async with asyncio.timeout(10):
        # A connection that was reset is as good as one that was closed.
        with contextlib.suppress(ConnectionError):
            assert await reader.read(1) == b""
    writer.close()


async def test_a_client_without_a_word_stays(path: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(path)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 1.0)
    writer.close()


async def test_an_utterance_ends_when_no_more_audio_comes_and_the_audio_may_go_on(path: Path) -> None:
    async with AsyncUnixClient(path, read_timeout=20) as client:
        await client.write_event(AudioStart(16_000, 2, 1).event())
        for name in ("u-1", "u-2"):
            await client.write_event(AudioChunk(16_000, 2, 1, audio=sentence().tobytes()).event())
            while (event := await client.read_event()) is not None and event.type != "voice-stopped":
                pass
            assert event is not None
            assert event.data["utterance_id"] == name
        assert event.data["timestamp"] > 1_400, "the clock of the stream goes on"
