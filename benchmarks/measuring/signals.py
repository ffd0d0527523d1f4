"""The sounds that are played: speech without pauses, sentences with pauses, and a quiet room."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

SPEECH = Path(__file__).parents[2] / "tests/data/synthetic-speech.flac"
RATE = 16_000

FRAME = 320
PAUSE_DB = 35.0
"""A frame is a pause if its level is this far below the loudest frame."""

KEPT_FRAMES = 10
"""Frames of a pause that are kept on either side of speech."""

SENTENCE_SECONDS = 2.0
PAUSE_SECONDS = 1.5
"""Longer than the hangover, so that each sentence is an utterance of its own."""

Samples = npt.NDArray[np.int16]


def room_tone(seconds: float) -> Samples:
    """Return the noise of a quiet room at -60 dBFS."""
    generator = np.random.default_rng(1)
    return np.asarray(generator.normal(0, 32.8, int(seconds * RATE)).round(), np.int16)


def unbroken_speech(seconds: float, path: Path = SPEECH) -> Samples:
    """Return a recording without its long pauses, repeated up to the length."""
    samples, rate = soundfile.read(path, dtype="int16", always_2d=True)
    if rate != RATE:
        raise SystemExit(f"{path} has {rate} Hz; expected {RATE} (sox IN -r {RATE} OUT)")
    mono = samples[:, 0]
    frames = mono[: len(mono) // FRAME * FRAME].reshape(-1, FRAME)
    levels = 20 * np.log10(np.sqrt(np.mean((frames / 32768.0) ** 2, axis=1)) + 1e-9)
    loud = levels > levels.max() - PAUSE_DB
    # Short pauses are kept, as in natural speech.
    near = np.convolve(loud, np.ones(2 * KEPT_FRAMES + 1), mode="same") > 0
    speech = frames[near].reshape(-1)
    return np.asarray(np.tile(speech, math.ceil(seconds * RATE / len(speech)))[: int(seconds * RATE)], np.int16)


def sentences(seconds: float, path: Path = SPEECH) -> Samples:
    """Return speech with a pause after each two seconds of it, so that there are many finals."""
    speech = unbroken_speech(seconds, path)
    pause = room_tone(PAUSE_SECONDS)
    pieces = np.split(speech, np.arange(1, math.ceil(seconds / SENTENCE_SECONDS)) * int(SENTENCE_SECONDS * RATE))
    return np.concatenate([part for piece in pieces for part in (piece, pause)])[: int(seconds * RATE)]
