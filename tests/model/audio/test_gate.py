"""The gate neither loses nor doubles a sample, and the size of the blocks has no influence."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_model.audio.gate import Gate
from ser_model.audio.vad import make_detector
from ser_model.config import GateConfig
from ser_model.errors import SerError
from ser_model.types import Block, GateEvent, SpeechAudio, SpeechEnded, SpeechStarted

FRAME = 160
RATE = 16_000


class LoudnessDetector:
    """Reports speech where the signal alternates in sign, as the scripted speech does."""

    frame_samples = FRAME

    def probabilities(self, frames: np.ndarray) -> list[float]:
        return [float(np.mean(frame[1:] * frame[:-1]) < 0 and np.abs(frame).max() > 1e-3) for frame in frames]

    def reset(self) -> None:
        pass


def script(*parts: tuple[str, float]) -> np.ndarray:
    """Scripted audio: `speech` alternates in sign, with a ramp that makes samples differ; `quiet` is constant."""
    pieces = []
    for kind, seconds in parts:
        count = int(seconds * RATE)
        sign = np.where(np.arange(count) % 2, -1, 1)
        pieces.append(sign * 8000 + np.arange(count) % 50 if kind == "speech" else np.full(count, 3))
    return np.concatenate(pieces).astype(np.int16)


def run(samples: np.ndarray, config: GateConfig, sizes: list[int] | None = None) -> list[GateEvent]:
    gate = Gate(config, LoudnessDetector())
    events: list[GateEvent] = []
    at = 0
    for size in sizes or []:
        events += gate.push(Block(samples[at : at + size], at))
        at = min(at + size, len(samples))
    return events + gate.push(Block(samples[at:], at)) + gate.finish()


def audio_of(events: list[GateEvent], utterance: int) -> tuple[int, np.ndarray]:
    pieces = [event for event in events if isinstance(event, SpeechAudio) and event.utterance == utterance]
    for before, after in itertools.pairwise(pieces):
        assert after.start == before.start + len(before.samples)
    return pieces[0].start, np.concatenate([piece.samples for piece in pieces])


CONFIG = GateConfig(pre_roll_ms=300, hangover_ms=500, min_speech_ms=100)


def test_an_utterance_reaches_back_by_the_pre_roll_and_ends_after_the_hangover_to_the_sample() -> None:
    samples = script(("quiet", 2.0), ("speech", 1.0), ("quiet", 2.0))
    events = run(samples, CONFIG)
    started, ended = events[0], events[-1]
    assert started == SpeechStarted(1, 2 * RATE)
    assert isinstance(ended, SpeechEnded)
    assert (ended.utterance, ended.offset, ended.voiced, ended.cause) == (1, 3 * RATE, RATE, "silence")
    start, audio = audio_of(events, 1)
    assert start == 2 * RATE - 300 * 16
    assert len(audio) == 300 * 16 + RATE + 500 * 16
    np.testing.assert_array_equal(audio, samples[start : start + len(audio)])


def test_a_sound_shorter_than_the_minimum_opens_nothing() -> None:
    assert run(script(("quiet", 1.0), ("speech", 0.09), ("quiet", 1.0)), CONFIG) == []


def test_a_pause_shorter_than_the_hangover_does_not_split() -> None:
    events = run(script(("quiet", 1.0), ("speech", 0.5), ("quiet", 0.45), ("speech", 0.5), ("quiet", 1.0)), CONFIG)
    assert [type(event) for event in events if not isinstance(event, SpeechAudio)] == [SpeechStarted, SpeechEnded]


def test_the_longest_utterance_is_split_without_losing_or_doubling_a_sample() -> None:
    samples = script(("quiet", 1.0), ("speech", 5.0), ("quiet", 1.0))
    events = run(samples, dataclasses.replace(CONFIG, max_utterance_ms=2_000))
    causes = [event.cause for event in events if isinstance(event, SpeechEnded)]
    assert causes == ["max-length", "max-length", "silence"]
    positions = [audio_of(events, number) for number in (1, 2, 3)]
    whole = np.concatenate([audio for _, audio in positions])
    first = positions[0][0]
    assert first == RATE - 300 * 16
    assert len(whole) == 300 * 16 + 5 * RATE + 500 * 16
    np.testing.assert_array_equal(whole, samples[first : first + len(whole)])


def test_utterances_close_together_share_no_sample() -> None:
    events = run(script(("quiet", 1.0), ("speech", 0.5), ("quiet", 0.6), ("speech", 0.5), ("quiet", 1.0)), CONFIG)
    first, second = audio_of(events, 1), audio_of(events, 2)
    assert first[0] + len(first[1]) <= second[0]


def test_lost_samples_end_the_utterance_that_was_open() -> None:
    gate = Gate(CONFIG, LoudnessDetector())
    samples = script(("quiet", 1.0), ("speech", 1.0))
    gate.push(Block(samples, 0))
    assert gate.speaking
    events = gate.push(Block(script(("quiet", 0.1)), len(samples) + 5000, lost=5000))
    assert [(event.utterance, event.offset, event.voiced, event.cause) for event in events] == [
        (1, len(samples), RATE, "gap")
    ]
    assert not gate.speaking


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 9000), max_size=20), st.integers(0, 10**6))
def test_the_size_of_the_blocks_has_no_influence(sizes: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [(str(rng.choice(["speech", "quiet"])), float(rng.uniform(0.02, 1.2))) for _ in range(8)]
    samples = script(("quiet", 0.3), *parts)
    config = dataclasses.replace(CONFIG, max_utterance_ms=1_500)
    as_bytes = [
        [(event, event.samples.tobytes()) if isinstance(event, SpeechAudio) else event for event in events]
        for events in (run(samples, config), run(samples, config, sizes))
    ]
    assert [str(event) for event in as_bytes[0]] == [str(event) for event in as_bytes[1]]


@pytest.mark.parametrize("engine", ["silero", "webrtc"])
def test_real_detectors_find_no_speech_in_silence_and_steady_noise(engine: str) -> None:
    rng = np.random.default_rng(1)
    noise = (300 * rng.standard_normal(20 * RATE)).astype(np.int16)
    for samples in (noise, np.zeros(5 * RATE, dtype=np.int16)):
        gate = Gate(GateConfig(engine=engine))
        assert gate.push(Block(samples, 0)) + gate.finish() == []


def test_the_noise_floor_of_steady_noise_is_its_level() -> None:
    gate = Gate()
    gate.push(Block((300 * np.random.default_rng(1).standard_normal(5 * RATE)).astype(np.int16), 0))
    assert gate.noise_floor_dbfs == pytest.approx(20 * np.log10(300 / 32768), abs=2)


@pytest.mark.parametrize(
    ("config", "word"), [(GateConfig(engine="magic"), "magic"), (GateConfig(engine="webrtc", webrtc_mode=7), "7")]
)
def test_an_invalid_detector_is_refused_by_name(config: GateConfig, word: str) -> None:
    with pytest.raises(SerError, match=word):
        make_detector(config)


def last_end(events: list[GateEvent]) -> SpeechEnded:
    end = events[-1]
    assert isinstance(end, SpeechEnded)
    return end


def test_the_signal_to_noise_ratio_is_that_of_the_voiced_frames() -> None:
    samples = script(("quiet", 2.0), ("speech", 1.0), ("quiet", 2.0))
    end = last_end(run(samples, CONFIG))
    voiced, quiet = (np.mean(np.square(part.astype(float))) for part in (samples[2 * RATE : 3 * RATE], samples[:RATE]))
    assert end.snr_db == pytest.approx(10 * np.log10(voiced / quiet), abs=0.1)
    half = samples.copy()
    half[2 * RATE : 3 * RATE] //= 2
    quieter = last_end(run(half, CONFIG)).snr_db
    assert quieter == pytest.approx(10 * np.log10(voiced / quiet) - 6.02, abs=0.1)


@pytest.mark.parametrize(("at", "value", "clipping"), [
    (2.5, 32767, True),
    (2.5, -32768, True),
    (2.5, 32766, False),
    (1.85, -32768, True),
    (0.5, 32767, False),
])  # fmt: skip
def test_a_sample_at_full_scale_within_the_utterance_is_reported(at: float, value: int, clipping: bool) -> None:
    samples = script(("quiet", 2.0), ("speech", 1.0), ("quiet", 2.0), ("speech", 1.0), ("quiet", 1.0))
    samples[int(at * RATE) : int(at * RATE) + 3] = value
    ends = [event for event in run(samples, CONFIG) if isinstance(event, SpeechEnded)]
    assert [end.clipping for end in ends] == [clipping, False]


class MovingDetector(LoudnessDetector):
    """Its threshold moves with all that it got since its last reset, so a lost or doubled frame is noticed."""

    def __init__(self) -> None:
        self._heard = 0.0

    def probabilities(self, frames: np.ndarray) -> list[float]:
        found = []
        for frame, loud in zip(frames, super().probabilities(frames), strict=True):
            self._heard = (self._heard * 1.7 + float(frame[3]) + 0.31) % 1.0
            found.append(loud * self._heard)
        return found

    def reset(self) -> None:
        self._heard = 0.0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 9000), max_size=20), st.integers(0, 10**6))
def test_the_detector_gets_the_same_frames_whatever_the_blocks(sizes: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [(str(rng.choice(["speech", "quiet", "zero"])), float(rng.uniform(0.02, 1.2))) for _ in range(10)]
    samples = np.concatenate([script(part) * (part[0] != "zero") for part in parts]).astype(np.int16)
    told = []
    for lengths in ([], sizes):
        gate, events, at = Gate(CONFIG, MovingDetector()), [], 0
        for length in [*lengths, len(samples)]:
            events += gate.push(Block(samples[at : at + length], at))
            at = min(at + length, len(samples))
        told.append([str(event) for event in [*events, *gate.finish()]])
    assert told[0] == told[1]


class RecordingDetector(LoudnessDetector):
    """Keeps the first sample of each frame."""

    def __init__(self) -> None:
        self.heard: list[float] = []

    def probabilities(self, frames: np.ndarray) -> list[float]:
        self.heard += [float(frame[0]) for frame in frames]
        return super().probabilities(frames)


@pytest.mark.parametrize("size", [FRAME, 9 * FRAME])
def test_digital_silence_is_passed_over_before_the_noise_floor_is_known(size: int) -> None:
    """Fewer than ten frames come, so the floor stays unknown, and each frame that is not silent is needed."""
    values = [3, 0, 3, 3, 0, 0, 3, 0, 3]
    samples = np.repeat(values, FRAME).astype(np.int16)
    detector = RecordingDetector()
    gate = Gate(CONFIG, detector)
    for at in range(0, len(samples), size):
        gate.push(Block(samples[at : at + size], at))
    room = 32
    assert len(detector.heard) == room + np.count_nonzero(values)
    assert min(detector.heard[room:]) > 0
