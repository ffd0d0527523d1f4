"""Data passed between the stages: blocks of samples, the gate's events, the recognizer's results.

Every position is a count of samples at 16 kHz on one sample clock that starts at 0 and never goes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 16_000
"""Samples per second after an audio source."""

Samples = npt.NDArray[np.int16]
"""Mono audio, shape (n,), dtype int16."""

Frames = npt.NDArray[np.float32]
"""Feature vectors, shape (frames, 46), dtype float32."""


EndCause = Literal["silence", "max-length", "gap", "closed"]
"""Why an utterance ended. After `max-length` speech goes on as the next utterance; at a `gap` samples were lost."""

UnknownReason = Literal["too-short", "unlike-speech", "low-confidence"]
"""Why a label is `unknown`; the first that holds. `unlike-speech` means out of distribution."""

AdaptationName = Literal["none", "running", "profile", "taught"]
"""What the answers are adapted to: nothing, the speech so far, a speaker's profile and the speech since, or all that
and the speaker's own examples."""

ActivationLevel = Literal["high", "low", "unknown"]
"""Arousal of a voice."""


def to_samples(ms: int) -> int:
    """Convert milliseconds to samples at 16 kHz.

    Examples:
        >>> to_samples(300)
        4800
    """
    return ms * SAMPLE_RATE // 1000


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive samples from a source."""

    samples: Samples
    """Shape (n,), int16, 16 kHz mono; n may be 0."""
    start: int
    """Position of the first sample on the sample clock."""
    arrival: float = 0.0
    """Monotonic time in seconds at which the last sample was available."""
    lost: int = 0
    """Samples known or estimated to be missing before this block; `start` includes them."""

    @property
    def end(self) -> int:
        """Position after the last sample."""
        return self.start + len(self.samples)


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The gate opened: speech began."""

    utterance: int
    """Number of the utterance, from 1."""
    onset: int
    """Position of the first sample of speech, without the pre-roll."""


@dataclass(frozen=True, slots=True)
class SpeechAudio:
    """Samples of the open utterance; the first event begins with the pre-roll."""

    utterance: int
    samples: Samples
    start: int
    """Position of the first of `samples`."""
    voiced: int
    """Samples of the utterance so far in voiced frames."""
    snr_db: float | None = None
    """Level of the voiced frames so far above the noise floor; `None` if there are none."""
    clipping: bool = False
    """Whether a sample of the utterance so far was at full scale."""


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """The gate closed."""

    utterance: int
    offset: int
    """Position after the last sample of speech, without the hangover."""
    voiced: int
    """Samples of the utterance in voiced frames."""
    cause: EndCause
    snr_db: float | None = None
    """Level of the voiced frames above the noise floor; `None` if there are none."""
    clipping: bool = False
    """Whether a sample of the utterance was at full scale."""


GateEvent = SpeechStarted | SpeechAudio | SpeechEnded


@dataclass(frozen=True, slots=True)
class VoiceStarted:
    """Speech began."""

    utterance: int
    timestamp: int
    """Position of the onset."""


@dataclass(frozen=True, slots=True)
class Activation:
    """Whether a voice is high or low in arousal; may be known where the label is `unknown`."""

    level: ActivationLevel
    probability: float
    """Calibrated probability of high arousal, 0 to 1, whatever the level."""


class Estimate(NamedTuple):
    """Output of the network for one utterance or window."""

    logits: npt.NDArray[np.float32]
    """Shape (8,), in the order of `LABELS`."""
    embedding: npt.NDArray[np.float32]
    """Shape (hidden,)."""


@dataclass(frozen=True, slots=True)
class EmotionResult:
    """The emotion of the last seconds (partial) or of the whole utterance (final)."""

    utterance: int
    final: bool
    label: str
    """One of `LABELS`, or `unknown`."""
    reason: UnknownReason | None
    """Why the label is `unknown`; `None` for any other label."""
    top: str
    """The label with the highest score, also where `label` is `unknown`."""
    confidence: float
    """Score of `top`, 0 to 1, after temperature and smoothing."""
    scores: Mapping[str, float]
    """Posterior by label, in the order of `LABELS`; sums to 1."""
    start: int
    """Position of the first sample that the answer depends on."""
    end: int
    """Position after the last sample that the answer depends on."""
    timestamp: int
    """Position up to which audio was processed when this was decided."""
    voiced: int
    """Samples of the utterance so far in voiced frames."""
    calibrated: bool = False
    """Whether the scores use temperatures fitted on held-out speakers."""
    snr_db: float | None = None
    """Level of the voiced frames so far above the noise floor; `None` if there are none."""
    clipping: bool = False
    """Whether a sample of the utterance so far was at full scale."""
    adaptation: AdaptationName = "none"
    """What the answer is adapted to."""
    activation: Activation | None = None
    """Arousal of the voice, from `scores`; `None` where the model cannot say."""
    taught: int = 0
    """Examples of the speaker that the answer was taught by."""
    estimate: Estimate | None = None
    """For a final result the network's own output, without adaptation; `None` if there was no frame."""


@dataclass(frozen=True, slots=True)
class VoiceStopped:
    """Speech ended; follows the utterance's final `EmotionResult`."""

    utterance: int
    timestamp: int
    """Position of the offset, without the hangover."""


Result = VoiceStarted | EmotionResult | VoiceStopped
