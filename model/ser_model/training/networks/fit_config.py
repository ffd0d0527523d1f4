"""Settings of a training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Device = Literal["cpu", "cuda"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FitConfig:
    """The recipe; `docs/experiments.md` says how it was chosen."""

    variant: str = "h64"
    residual: bool = True
    """`False`: the paper's baseline LSTM-SA."""
    epochs: int = 80
    restart_epochs: int = 0
    """Length of a cosine cycle; 0: one cycle over all epochs."""
    batch: int = 32
    learning_rate: float = 5e-3
    l2: float = 1.4e-3
    """Added to the gradient (Adam's classic weight decay), which here does far better than decoupled decay."""
    dropout: float = 0.2
    label_smoothing: float = 0.05
    hard_share: float = 0.6
    """Weight of the label in the target; the teachers' probabilities have the rest. 1: the label alone."""
    balanced: bool = True
    """Weight the classes equally in the loss, as UAR does. RAVDESS has half as many neutral recordings."""
    clean_share: float = 0.2
    """Share of the examples taken from the clean recording and not from a variant."""
    level_db: float = 6.0
    """Largest change of level: the gain of a microphone is unknown."""
    tempo: float = 0.1
    """Largest relative change of tempo at the same pitch."""
    offset: float = 0.35
    """Standard deviation of an offset that is constant within an utterance, relative to that of the features.
    It stands for another voice or microphone."""
    jitter: float = 0.15
    """Standard deviation of noise that is new in every frame, relative to that of the features."""
    crop_share: float = 0.35
    """Share of the examples cut to a random segment, as in a rolling window."""
    crop_seconds: tuple[float, float] = (1.0, 4.0)
    clip_norm: float = 5.0
