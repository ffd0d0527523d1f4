"""Audio in, emotions out, with the client of the official package."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.info import Describe, Info
from wyoming.ping import Ping
from wyoming.vad import VoiceStarted, VoiceStopped
from wyoming.wake import Detect

from ser_model import read_audio
from support.daemon import Daemon
from support.speech import SYNTHETIC_SPEECH, sentence, synthetic_speech
from support.wyoming_bridge import WyomingBridge, finals, play, tone, until_pong

LEAD = np.zeros(60 * 16_000, np.int16)
"""Silence before the speech, so that a subscriber connects before the first utterance of a fast file."""

OF_THE_MOMENT = ("seq", "time", "latency_ms")
"""Fields that depend on when something was recognised."""


def lasting(data: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name not in OF_THE_MOMENT}


def daemon_finals(path: Path) -> list[dict[str, Any]]:
    """Return the final results of a daemon that reads a file."""
    with Daemon("--mic", f"file:{path}", "--fast") as daemon:
        events = daemon.subscribe().rest()
        assert daemon.wait() == 0
    return [event["data"] for event in events if event["type"] == "emotion" and event["data"]["final"]]


async def test_the_official_client_keeps_the_program_and_its_model(bridge: WyomingBridge) -> None:
    async with bridge.client() as client:
        await client.write_event(Describe().event())
        event = await client.read_event()
    assert event is not None
    info = Info.from_event(event)
    assert [program.name for program in info.wake] == ["ser-daemon"]
    assert [model.name for model in info.wake[0].models] == ["reslstm-sa-h64"]
    assert info.wake[0].installed
    assert info.wake[0].models[0].installed
    assert not any((info.asr, info.tts, info.handle, info.intent, info.mic, info.snd, info.satellite))
    assert len(event.data["ser"][0]["labels"]) == 8


async def test_finals_equal_those_of_a_daemon_that_reads_the_same_samples(
    bridge: WyomingBridge, tmp_path: Path
) -> None:
    samples = np.concatenate((LEAD, synthetic_speech()))
    path = tmp_path / "speech.wav"
    soundfile.write(path, samples, 16_000)
    expected = daemon_finals(path)
    async with bridge.client() as client:
        events = await play(client, samples.tobytes(), frames=1_024)
    found = finals(events)
    assert len(found) == len(expected) >= 6
    assert list(map(lasting, found)) == list(map(lasting, expected))
    started = [VoiceStarted.from_event(event).timestamp for event in events if VoiceStarted.is_type(event.type)]
    stopped = [VoiceStopped.from_event(event).timestamp for event in events if VoiceStopped.is_type(event.type)]
    assert started == [data["start"] for data in expected]
    assert stopped == [data["end"] for data in expected]
    assert [event.data["seq"] for event in events] == list(range(1, len(events) + 1))


@pytest.mark.parametrize(
    ("rate", "width", "channels", "subtype"),
    [(48_000, 2, 2, "PCM_16"), (44_100, 4, 1, "PCM_32"), (8_000, 1, 1, "PCM_U8"), (22_050, 3, 2, "PCM_24")],
)
async def test_other_formats_are_converted_as_a_file_is(
    bridge: WyomingBridge, tmp_path: Path, rate: int, width: int, channels: int, subtype: str
) -> None:
    speech, _ = soundfile.read(SYNTHETIC_SPEECH, dtype="float32", frames=10 * 16_000)
    positions = np.arange(0, len(speech) - 1, 16_000 / rate)
    wave = np.interp(positions, np.arange(len(speech)), speech)
    frames = np.repeat(wave[:, None], channels, axis=1)
    path, raw = tmp_path / "speech.wav", tmp_path / "speech.raw"
    soundfile.write(path, frames, rate, subtype=subtype)
    soundfile.write(raw, frames, rate, subtype=subtype, format="RAW", endian="LITTLE")
    async with bridge.client() as client:
        direct = await play(client, read_audio(path).tobytes())
    async with bridge.client() as client:
        converted = await play(client, raw.read_bytes(), rate=rate, width=width, channels=channels, frames=333)
    assert len(finals(direct)) >= 2
    assert list(map(lasting, finals(converted))) == list(map(lasting, finals(direct)))


async def test_many_clients_at_once_get_what_one_alone_gets(bridge: WyomingBridge) -> None:
    async def one(frames: int) -> list[dict[str, Any]]:
        async with bridge.client() as client:
            return list(map(lasting, finals(await play(client, synthetic_speech().tobytes(), frames=frames))))

    alone = await one(1_024)
    assert len(alone) >= 5
    together = await asyncio.gather(*(one(500 + 111 * number) for number in range(8)))
    assert all(each == alone for each in together)


async def test_a_second_stream_starts_anew_and_its_utterances_have_names_of_their_own(bridge: WyomingBridge) -> None:
    audio = np.concatenate([np.zeros(8_000, np.int16), sentence(), np.zeros(16_000, np.int16)]).tobytes()
    async with bridge.client() as client:
        first, second = finals(await play(client, audio)), finals(await play(client, audio))
    assert [data["utterance_id"] for data in (*first, *second)] == ["u-1", "u-2"]
    assert first[0]["scores"] == second[0]["scores"]
    assert first[0]["start"] == second[0]["start"]


async def test_a_stream_that_stops_in_an_utterance_gets_its_final(bridge: WyomingBridge) -> None:
    async with bridge.client() as client:
        events = await play(client, sentence().tobytes())
        assert [event.type for event in events][-2:] == ["emotion", "voice-stopped"]
        assert events[-2].data["final"]
        # Chunks without a start begin a stream as well, and a new start ends it.
        await client.write_event(AudioChunk(16_000, 2, 1, audio=sentence().tobytes()).event())
        await client.write_event(AudioStart(16_000, 2, 1).event())
        await client.write_event(Ping().event())
        events = await until_pong(client)
    assert [event.type for event in events][-1] == "voice-stopped"


async def test_detect_is_answered_as_the_protocol_asks(bridge: WyomingBridge) -> None:
    async with bridge.client() as client:
        await client.write_event(Detect(names=["reslstm-sa-h64"]).event())
        events = await play(client, sentence().tobytes())
        assert events[-1].type == "not-detected"
        assert await play(client, tone(0.1)) == []


async def test_events_come_while_audio_goes_on(bridge: WyomingBridge) -> None:
    async with bridge.client() as client:
        await client.write_event(AudioStart(16_000, 2, 1).event())
        speech = np.concatenate([np.zeros(8_000, np.int16), sentence(), np.zeros(16_000, np.int16)])
        await client.write_event(AudioChunk(16_000, 2, 1, audio=speech.tobytes()).event())
        types = []
        while types[-1:] != ["voice-stopped"]:
            event = await client.read_event()
            assert event is not None
            types.append(event.type)
            assert "latency_ms" not in event.data or event.data["latency_ms"] >= 0
        await client.write_event(AudioStop().event())
    assert types[0] == "voice-started"
    assert types.count("emotion") >= 2
