"""Settings of the gate and of the decision; the daemon's config file holds the same names."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class GateConfig:
    """What counts as speech. The defaults are measured: see `docs/gate.md`."""

    engine: str = "silero"
    """Voice activity detector: `silero` or `webrtc`."""
    webrtc_mode: int = 3
    """Aggressiveness of the WebRTC detector, 0 to 3."""
    threshold: float = 0.4
    """Silero's speech probability from which a frame counts as voiced, 0 to 1."""
    pre_roll_ms: int = 300
    """Audio before the onset that belongs to the utterance."""
    hangover_ms: int = 700
    """Silence after which an utterance ends."""
    min_speech_ms: int = 100
    """Voiced audio needed to open an utterance."""
    max_utterance_ms: int = 30_000
    """Length at which an utterance is split."""
    noise_margin_db: float = 6.0
    """A frame counts as voiced only when it is louder than the noise floor by this much."""
    noise_floor_dbfs: float | None = None
    """Noise floor to start from, as measured by `ser-calibrate mic`; None: learnt while listening."""
    gain_db: float | None = None
    """Gain of the detector's copy to start from, as measured by `ser-calibrate mic`; None: learnt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionConfig:
    """How often and how firmly the recognizer answers."""

    window_ms: int = 3_000
    """Length of the rolling window behind a partial answer."""
    update_ms: int = 500
    """Speech between two partial answers."""
    min_voiced_ms: int = 600
    """Voiced audio below which the answer is `unknown`; most of what noise gets through the gate is shorter."""
    unknown_below: float | None = None
    """Confidence under which the answer is `unknown`, 0 to 1; None: as the model file says."""
    temperature: float | None = None
    """Divisor of the logits, above 0; None: as the model file says, by how much was heard."""
    unlike_speech: bool = True
    """Whether the answer is `unknown` for what sounds unlike the speech that the model knows."""
    smoothing: float = 0.0
    """Weight of the previous partial answer in the next, 0 (none) to below 1; see `docs/calibration.md`."""
    margin: float = 0.0
    """By how much the score of another label must lead before a partial answer changes its label, 0 to 1."""
