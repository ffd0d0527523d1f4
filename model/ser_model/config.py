"""Settings of the gate and of the decision. The daemon's config file uses the same names and ranges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal


@dataclass(frozen=True, slots=True)
class Range:
    """What a number in the configuration may be; put into `Annotated` beside its field."""

    low: float
    """Least value; inclusive."""
    high: float
    """Greatest value; inclusive."""
    unit: str = ""
    """Unit or meaning, for messages."""


VadEngine = Literal["silero", "webrtc"]

NoiseFloor = Annotated[float, Range(-120, 0, "decibels below full scale")]
NoiseMargin = Annotated[float, Range(0, 40, "decibels")]
VadGain = Annotated[float, Range(-10, 40, "decibels")]
"""Also the ranges of a microphone's profile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateConfig:
    """What counts as speech. The defaults are measured: see `docs/gate.md`."""

    engine: VadEngine = "silero"
    """Voice activity detector."""
    webrtc_mode: Annotated[int, Range(0, 3, "3 is the strictest")] = 3
    """Aggressiveness of the WebRTC detector."""
    threshold: Annotated[float, Range(0, 1, "probability")] = 0.4
    """Silero's speech probability from which a frame counts as voiced."""
    pre_roll_ms: Annotated[int, Range(0, 2000, "milliseconds")] = 300
    """Audio before the onset that belongs to the utterance."""
    hangover_ms: Annotated[int, Range(100, 5000, "milliseconds")] = 700
    """Silence after which an utterance ends."""
    min_speech_ms: Annotated[int, Range(20, 2000, "milliseconds")] = 100
    """Voiced audio needed to open an utterance."""
    max_utterance_ms: Annotated[int, Range(2000, 120_000, "milliseconds")] = 30_000
    """Length at which an utterance is split."""
    noise_margin_db: NoiseMargin = 6.0
    """A frame counts as voiced only when it is louder than the noise floor by this much."""
    noise_floor_dbfs: NoiseFloor | None = None
    """Noise floor at the start, as measured by `ser-calibrate mic`. `None` learns it while listening."""
    gain_db: VadGain | None = None
    """Gain of the detector's copy at the start, as measured by `ser-calibrate mic`. `None` learns it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionConfig:
    """When the recognizer answers, and when the answer is `unknown`."""

    window_ms: Annotated[int, Range(500, 10_000, "milliseconds")] = 3_000
    """Length of the rolling window behind a partial answer."""
    update_ms: Annotated[int, Range(100, 10_000, "milliseconds")] = 500
    """Speech between two partial answers."""
    min_voiced_ms: Annotated[int, Range(0, 5000, "milliseconds")] = 600
    """Voiced audio below which the answer is `unknown`; most noise that passes the gate is shorter."""
    unknown_below: Annotated[float, Range(0, 1, "confidence")] | None = None
    """Confidence below which the answer is `unknown`. `None` uses the model file's value."""
    temperature: Annotated[float, Range(0.05, 20, "divisor of the logits")] | None = None
    """Divisor of the logits. `None` uses the model file's values, which depend on the length of the speech."""
    unlike_speech: bool = True
    """Whether the answer is `unknown` for sound that is unlike the training speech (out of distribution)."""
    smoothing: Annotated[float, Range(0, 0.99, "weight of the previous answer")] = 0.0
    """Weight of the previous partial answer in the next, 0 for none; see `docs/confidence.md`."""
    margin: Annotated[float, Range(0, 1, "of the scores")] = 0.0
    """Lead in score that another label needs before a partial answer changes its label."""
