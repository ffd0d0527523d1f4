"""Eight recordings, one per emotion, spoken one after the other in a quiet room: what was said, and exactly when."""

from __future__ import annotations

import os
import random
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from ser_model.audio.files import Resampler
from ser_model.labels import LABELS
from ser_model.types import SAMPLE_RATE

RATE = 48_000
"""Of the recordings, and of most sound cards."""

PAUSE_SECONDS = 1.0

ROOM_DBFS = -80.0
"""Noise under everything: no room gives digital zeros."""

DEFAULT_SEED = 103
"""A draw whose sixteen boundaries are clear-cut, however the detector's frames happen to fall on them.

Over all recordings about 80 % have both boundaries within 150 ms. The others begin or end with breaths, sobs or
smacking lips, which the detector takes for speech and the truth, by loudness alone, does not, or the reverse;
so of the draws 0 to 19 only 3 have none of these.
"""


@dataclass(frozen=True, slots=True)
class Spoken:
    """One recording of a session; positions in ms from the session's first sample."""

    name: str
    start: float
    """Where it first comes within 30 dB of its peak."""
    end: float
    """Where it last does."""


@dataclass(frozen=True, slots=True)
class Session:
    """A WAV file and what is spoken in it."""

    path: Path
    spoken: tuple[Spoken, ...]
    seconds: float


def seed() -> int:
    """Which recordings are drawn: `SER_TEST_SEED`, or the default."""
    return int(os.environ.get("SER_TEST_SEED", DEFAULT_SEED))


def draw(folder: Path, number: int) -> list[Path]:
    """One recording per emotion, by anybody, in any order; always the same for the same number."""
    rng = random.Random(number)
    everything = sorted(folder.glob("Actor_*/*.flac")) + sorted(folder.glob("Actor_*/*.wav"))
    chosen = []
    for code in range(1, len(LABELS) + 1):
        # The third field of a RAVDESS name is the emotion, from 01.
        named = re.compile(rf"\d\d-\d\d-{code:02d}-")
        chosen.append(rng.choice([path for path in everything if named.match(path.name)]))
    rng.shuffle(chosen)
    return chosen


def compose(recordings: list[Path], path: Path) -> Session:
    """Write a session: a pause, a recording, a pause, ... a recording, a pause."""
    pause = np.zeros(round(PAUSE_SECONDS * RATE))
    pieces = [pause]
    spoken = []
    for recording in recordings:
        samples, rate = soundfile.read(recording, dtype="float64")
        assert rate == RATE, f"{recording} has {rate} Hz"
        begin = sum(len(piece) for piece in pieces) * 1000 / RATE
        start, end = truth(samples)
        spoken.append(Spoken(recording.stem, begin + start, begin + end))
        pieces += [samples, pause]
    whole = np.concatenate(pieces)
    room = np.random.default_rng(1).normal(0, 10 ** (ROOM_DBFS / 20), len(whole))
    soundfile.write(path, np.clip(whole + room, -1, 1), RATE, subtype="PCM_16")
    return Session(path, tuple(spoken), len(whole) / RATE)


def truth(samples: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Begin of the first and end of the last 10 ms above -30 dB of the recording's peak, in ms.

    At 16 kHz, as everything behind the microphone: what only sounds above 8 kHz is not heard.
    """
    resampler = Resampler(RATE)
    heard = np.concatenate((resampler.push(samples.astype(np.float32)), resampler.flush())).astype(float)
    block = SAMPLE_RATE // 100
    peaks = np.abs(heard[: len(heard) // block * block]).reshape(-1, block).max(axis=1)
    loud = np.flatnonzero(peaks > peaks.max() * 10 ** (-30 / 20))
    return float(loud[0]) * 10, float(loud[-1] + 1) * 10
