"""The speech that tests play: the same samples on every machine, and no person's voice."""

from __future__ import annotations

from pathlib import Path

from ser_model import read_audio
from ser_model.types import Samples

SYNTHETIC_SPEECH = Path(__file__).resolve().parents[1] / "data/synthetic-speech.flac"
"""Six utterances by espeak-ng in different voices between pauses of weak noise, 24 s, under the MIT licence."""


def synthetic_speech() -> Samples:
    """Return the six utterances."""
    return read_audio(SYNTHETIC_SPEECH)


def sentence() -> Samples:
    """Return one of the six utterances, 1.4 s."""
    return synthetic_speech()[int(13.0 * 16_000) : int(14.4 * 16_000)]
