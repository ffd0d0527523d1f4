"""`VoiceReader`: readings of real recordings, off the event loop, whatever comes between."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
import soxr

from ser_bridges.perception import reader as reader_module
from ser_bridges.perception.prompt import as_text
from ser_bridges.perception.reader import WAITING_SECONDS, VoiceReader
from ser_model import Model, Recognizer, read_audio
from ser_model.types import SAMPLE_RATE, EmotionResult, Samples
from support.demo import write_demo_recordings

WAIT = 20.0


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Samples]:
    folder: Path = tmp_path_factory.mktemp("demo")
    written = write_demo_recordings(folder)
    return {f"{label} {number % 2}": read_audio(str(path)) for number, (path, label) in enumerate(written)}


def final_of(samples: Samples) -> EmotionResult:
    recognizer = Recognizer()
    results = recognizer.push(samples) + recognizer.finish()
    return next(result for result in results if isinstance(result, EmotionResult) and result.final)


def hear(reader: VoiceReader, samples: Samples, rate: int = SAMPLE_RATE, channels: int = 1) -> None:
    """Push audio in frames of 20 ms; shape (n,) or (n, channels)."""
    for start in range(0, len(samples), rate // 50):
        reader.push(samples[start : start + rate // 50].tobytes(), rate, channels)


async def test_a_reading_is_that_of_the_recognizer(recordings: dict[str, Samples]) -> None:
    reader = VoiceReader()
    hear(reader, recordings["angry 0"])
    final = await reader.reading(WAIT)
    assert final is not None
    expected = final_of(recordings["angry 0"])
    assert (final.label, final.scores) == (expected.label, expected.scores)
    assert as_text(final) == "[emotion angry=0.59, disgust=0.20],[arousal value=0.91]"
    await reader.close()


async def test_nothing_is_said_where_nothing_was_heard_or_is_known(recordings: dict[str, Samples]) -> None:
    reader = VoiceReader()
    assert as_text(await reader.reading(WAIT)) is None
    hear(reader, recordings["neutral 0"])
    final = await reader.reading(WAIT)
    assert final is not None
    assert final.label == "unknown"
    assert as_text(final) is None
    assert await reader.reading(WAIT) is None, "a reading is given once"
    await reader.close()


@pytest.mark.parametrize(("rate", "channels"), [(48_000, 2), (44_100, 1), (8_000, 1)])
async def test_audio_may_have_any_rate_and_channels(recordings: dict[str, Samples], rate: int, channels: int) -> None:
    reader = VoiceReader()
    samples = soxr.resample(recordings["angry 0"], SAMPLE_RATE, rate).astype(np.int16)
    hear(reader, np.column_stack([samples] * channels), rate, channels)
    final = await reader.reading(WAIT)
    assert final is not None
    assert final.top == "angry"
    await reader.close()


async def test_the_format_may_change_within_a_call(recordings: dict[str, Samples]) -> None:
    reader = VoiceReader()
    hear(reader, recordings["neutral 0"])
    await reader.reading(WAIT)
    hear(reader, soxr.resample(recordings["angry 0"], SAMPLE_RATE, 24_000).astype(np.int16), 24_000)
    final = await reader.reading(WAIT)
    assert final is not None
    assert final.top == "angry"
    await reader.close()


async def test_audio_that_cannot_be_used_is_refused_with_a_sentence(
    recordings: dict[str, Samples], caplog: pytest.LogCaptureFixture
) -> None:
    reader = VoiceReader()
    hear(reader, recordings["angry 0"][:5_000], 500)
    assert await reader.reading(WAIT) is None
    assert [record.message for record in caplog.records] == [
        "The audio of a user cannot be read: its sample rate is 500 Hz, expected 1000 to 384000 Hz."
    ]
    reader.push(b"\0\0", 0)
    reader.push(b"\0\0", SAMPLE_RATE, 0)
    reader.push(b"\0", SAMPLE_RATE)
    hear(reader, recordings["angry 0"])
    assert as_text(await reader.reading(WAIT)) is not None
    await reader.close()


async def test_the_assistants_own_speech_and_its_echo_are_not_heard(recordings: dict[str, Samples]) -> None:
    reader = VoiceReader()
    reader.hold()
    hear(reader, recordings["angry 0"])
    reader.release(echo=len(recordings["happy 0"]) / SAMPLE_RATE)
    hear(reader, recordings["happy 0"])
    assert await reader.reading(WAIT) is None
    hear(reader, recordings["angry 0"])
    assert as_text(await reader.reading(WAIT)) is not None
    await reader.close()


async def test_speech_that_the_assistant_breaks_off_still_counts(recordings: dict[str, Samples]) -> None:
    reader = VoiceReader()
    hear(reader, recordings["angry 0"][: 3 * SAMPLE_RATE])
    reader.hold()
    hear(reader, recordings["neutral 0"])
    final = await reader.reading(WAIT)
    assert final is not None
    assert final.top == "angry"
    await reader.close()


async def test_what_was_read_of_an_earlier_turn_or_stream_is_dropped(recordings: dict[str, Samples]) -> None:
    reader = VoiceReader()
    for end in (reader.forget, reader.reset):
        hear(reader, recordings["angry 0"])
        hear(reader, np.zeros(SAMPLE_RATE, np.int16))
        end()
        assert await reader.reading(WAIT) is None
    hear(reader, recordings["angry 0"][: 3 * SAMPLE_RATE])
    reader.forget()
    assert await reader.reading(WAIT) is not None, "an open utterance goes on"
    hear(reader, recordings["angry 0"][: 3 * SAMPLE_RATE])
    reader.reset()
    assert await reader.reading(WAIT) is None
    await reader.close()


async def test_an_answer_that_comes_too_late_does_not_go_to_the_next_turn(recordings: dict[str, Samples]) -> None:
    reader = VoiceReader()
    hear(reader, recordings["angry 0"])
    assert await reader.reading(0.0) is None
    assert await reader.reading(WAIT) is None
    hear(reader, recordings["angry 0"])
    assert await reader.reading(WAIT) is not None
    await reader.close()


async def test_what_waits_is_bounded_and_counted(recordings: dict[str, Samples]) -> None:
    reader = VoiceReader()
    for _ in range(12):
        hear(reader, recordings["angry 1"])
    assert reader.dropped == pytest.approx(12 * len(recordings["angry 1"]) / SAMPLE_RATE - WAITING_SECONDS, abs=0.1)
    for _ in range(1000):
        reader.forget()
    assert as_text(await reader.reading(WAIT)) is None
    await reader.close()


async def test_the_event_loop_is_not_held_up(recordings: dict[str, Samples]) -> None:
    reader = VoiceReader()
    loop = asyncio.get_running_loop()
    for _ in range(5):
        hear(reader, recordings["angry 1"])
    task = asyncio.create_task(reader.reading(WAIT))
    longest, before = 0.0, loop.time()
    started = before
    while not task.done():
        await asyncio.sleep(0)
        longest, before = max(longest, loop.time() - before), loop.time()
    assert longest < (before - started) / 2
    await reader.close()


async def test_a_call_may_end_at_any_time(recordings: dict[str, Samples]) -> None:
    reader = VoiceReader()
    hear(reader, recordings["angry 1"])
    await asyncio.sleep(0.01)
    await reader.close()
    await reader.close()


async def test_readers_share_a_model_and_nothing_else(
    recordings: dict[str, Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []
    load = Model.load
    monkeypatch.setattr(Model, "load", lambda: loaded.append(1) or load())
    reader_module.shared_model.cache_clear()
    readers = [VoiceReader() for _ in range(4)]
    for reader, name in zip(readers, ("angry 0", "neutral 0", "angry 0", "neutral 0"), strict=True):
        hear(reader, recordings[name])
    finals = await asyncio.gather(*(reader.reading(WAIT) for reader in readers))
    assert [None if final is None else final.label for final in finals] == ["angry", "unknown"] * 2
    assert len(loaded) == 1
