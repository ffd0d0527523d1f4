"""What travels between the stages: blocks of samples, the gate's events, the recognizer's results.

Every position is a count of samples on one clock of 16 kHz that starts at 0 and never goes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 16_000
"""Samples per second of everything behind an audio source."""

Samples = npt.NDArray[np.int16]
"""Mono audio, shape (n,), dtype int16."""

Frames = npt.NDArray[np.float32]
"""Feature vectors, shape (frames, 46), dtype float32."""


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive samples as they came from a source."""

    samples: Samples
    """Shape (n,), int16, 16 kHz mono; n may be 0."""
    start: int
    """Position of the first sample on the sample clock."""
    arrival: float = 0.0
    """Monotonic time in seconds at which the last sample was available."""
    lost: int = 0
    """Samples known or estimated to be missing before this block; `start` already accounts for them."""

    @property
    def end(self) -> int:
        """Position after the last sample."""
        return self.start + len(self.samples)


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The gate opened: somebody speaks."""

    utterance: int
    """Number of the utterance, from 1."""
    onset: int
    """Position of the first sample of speech (pre-roll not included)."""


@dataclass(frozen=True, slots=True)
class SpeechAudio:
    """Samples of the open utterance; the first ones are its pre-roll."""

    utterance: int
    samples: Samples
    start: int
    """Position of the first of `samples`."""
    voiced: int
    """Samples of the utterance so far in which the voice activity detector heard speech."""
    snr_db: float | None = None
    """Level of the voiced frames so far over the noise floor; None: not known."""
    clipping: bool = False
    """Whether a sample of the utterance so far was at full scale."""


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """The gate closed."""

    utterance: int
    offset: int
    """Position after the last sample of speech (hangover not included)."""
    voiced: int
    """Samples of the utterance in which the voice activity detector heard speech."""
    cause: str
    """`silence`, `max-length` (speech goes on as the next utterance), `gap` (samples were lost) or `closed`."""
    snr_db: float | None = None
    """Level of the voiced frames over the noise floor; None: not known."""
    clipping: bool = False
    """Whether a sample of the utterance was at full scale."""


GateEvent = SpeechStarted | SpeechAudio | SpeechEnded


@dataclass(frozen=True, slots=True)
class VoiceStarted:
    """Somebody started to speak."""

    utterance: int
    timestamp: int
    """Position of the onset."""


@dataclass(frozen=True, slots=True)
class EmotionResult:
    """How it was said, judged from the utterance so far (partial) or as a whole (final)."""

    utterance: int
    final: bool
    label: str
    """One of `LABELS`, or `unknown`."""
    reason: str | None
    """Why the label is `unknown`: `low-confidence`, `too-short` or `unlike-speech`; None otherwise."""
    top: str
    """The label with the highest score, also where the decision is `unknown`."""
    confidence: float
    """Score of `top`, 0 to 1, after temperature and smoothing."""
    scores: Mapping[str, float]
    """Posterior by label, in the order of `LABELS`; sums to 1."""
    start: int
    """Position of the first sample judged."""
    end: int
    """Position after the last sample judged."""
    timestamp: int
    """Position up to which audio had been heard when this was decided."""
    voiced: int
    """Samples of the utterance so far that were voiced."""
    calibrated: bool = False
    """Whether the scores went through a temperature fitted on speakers that the networks had not heard."""
    snr_db: float | None = None
    """Level of the voiced frames so far over the gate's noise floor; None: not known."""
    clipping: bool = False
    """Whether a sample of the utterance so far was at full scale."""
    adaptation: str = "none"
    """What the features were moved by: `none`, `running` (what was heard before) or `profile` (a speaker's)."""


@dataclass(frozen=True, slots=True)
class VoiceStopped:
    """Somebody stopped speaking; comes after the utterance's final `EmotionResult`."""

    utterance: int
    timestamp: int
    """Position of the offset (hangover not included)."""


Result = VoiceStarted | EmotionResult | VoiceStopped
