"""One microphone for a satellite and the daemon: the sound server gives it to both."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from wyoming.audio import AudioChunk, AudioStart

from support.daemon import Daemon, Message
from support.pulse import PulseAudio, virtual_microphone
from support.speech import sentence
from support.wyoming_bridge import WyomingBridge

SPEECH = np.concatenate([np.zeros(16_000, np.int16), sentence(), np.zeros(24_000, np.int16)])
RECORD = ("parec", "--raw", "--format=s16le", "--rate=16000", "--channels=1", "--latency-msec=50")
"""What a satellite has as its `--mic-command`."""


@pytest.fixture
def pulse() -> Iterator[PulseAudio]:
    with virtual_microphone() as server:
        yield server


async def send_microphone(bridge: WyomingBridge, recorder: subprocess.Popen[bytes], finals: list[Message]) -> None:
    """Send what a recorder prints until the final result of an utterance comes."""
    assert recorder.stdout is not None
    async with bridge.client() as client:
        await client.write_event(AudioStart(16_000, 2, 1).event())

        async def send() -> None:
            assert recorder.stdout is not None
            while audio := await asyncio.to_thread(recorder.stdout.read, 2_048):
                await client.write_event(AudioChunk(16_000, 2, 1, audio=audio).event())

        sending = asyncio.create_task(send())
        while not finals:
            event = await client.read_event()
            assert event is not None
            finals += [event.data] if event.type == "emotion" and event.data["final"] else []
        recorder.terminate()
        await sending


async def test_a_satellite_and_the_daemon_hear_the_same_utterance(pulse: PulseAudio, tmp_path: Path) -> None:
    path = tmp_path / "speech.wav"
    soundfile.write(path, SPEECH, 16_000)
    finals: list[Message] = []
    with (
        Daemon("--mic", "default", environment=pulse.environment) as daemon,
        WyomingBridge() as bridge,
        subprocess.Popen(RECORD, env=pulse.environment, stdout=subprocess.PIPE) as recorder,
    ):
        subscriber = daemon.subscribe()
        satellite = asyncio.create_task(send_microphone(bridge, recorder, finals))
        await asyncio.to_thread(pulse.wait_for_capture, 2)
        player = pulse.play(path)
        heard = await asyncio.to_thread(
            subscriber.until, lambda event: event["type"] == "emotion" and event["data"]["final"]
        )
        async with asyncio.timeout(30):
            await satellite
        await asyncio.to_thread(player.wait, 20)
    lengths = [data["end"] - data["start"] for data in (heard["data"], finals[0])]
    assert lengths[0] == pytest.approx(lengths[1], abs=150)
