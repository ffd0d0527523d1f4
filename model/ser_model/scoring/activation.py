"""Activation: whether a voice is high or low in arousal, from the posterior of the eight labels.

Networks put recordings of high and of low arousal in the right order far better than they name emotions
(`docs/accuracy.md`). So the activation may be known where the label is `unknown`.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ser_model.labels import LABELS
from ser_model.scoring.logit_bias import is_finite
from ser_model.types import Activation, ActivationLevel

FloatArray = npt.NDArray[np.float64]

HIGH: Final = ("happy", "angry", "fearful", "surprised")
LOW: Final = ("neutral", "calm", "sad")
"""Labels of high and of low arousal. Disgust is spoken either way."""

_INDICES: Final = tuple([LABELS.index(label) for label in labels] for labels in (HIGH, LOW))
_LEAST: Final = 1e-12
"""Added to a sum of scores: a score may be too small for a float, which makes it 0."""

_RANGES: Final = {"slope": (0.0, 100.0), "offset": (-100.0, 100.0), "unknown_below": (0.5, 1.0)}


def log_odds(scores: npt.NDArray[Any]) -> FloatArray:
    """Return the log-odds of the labels of high against those of low arousal.

    Args:
        scores: posterior, shape (8,) or (n, 8).

    Returns:
        shape () or (n,)

    Examples:
        >>> scores = np.array([[0.1, 0.1, 0.1, 0.1, 0.5, 0.0, 0.1, 0.0], [0.5, 0.0, 0.25, 0.0, 0.25, 0.0, 0.0, 0.0]])
        >>> log_odds(scores).round(4).tolist()
        [0.6931, 0.0]
    """
    values = np.asarray(scores, dtype=np.float64)
    high, low = (values[..., indices].sum(axis=-1) for indices in _INDICES)
    return np.asarray(np.log(high + _LEAST) - np.log(low + _LEAST))


@dataclass(frozen=True, slots=True)
class ActivationParameters:
    """From log-odds to a calibrated probability, a logistic function (Platt 1999), and from there to a level."""

    slope: float
    """Factor of the log-odds, above 0, at most 100."""
    offset: float
    """Summand, -100 to 100."""
    unknown_below: float
    """Probability of the likelier level, 0.5 to 1, below which the level is `unknown`."""

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> ActivationParameters:
        """Read the result of `to_mapping`.

        Raises:
            ValueError: a value is no number, or out of its range.
            TypeError: a value is missing, or there are others.
        """
        made = cls(**values)
        for name, (least, most) in _RANGES.items():
            value = getattr(made, name)
            if not is_finite(value) or not least <= value <= most:
                found = reprlib.repr(value)
                raise ValueError(f"activation: expected a number from {least:g} to {most:g} as {name}, found {found}")
        if made.slope == 0:
            raise ValueError("activation: expected a slope above 0, found 0")
        return cls(float(made.slope), float(made.offset), float(made.unknown_below))

    def to_mapping(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)

    def probability(self, scores: npt.NDArray[Any]) -> FloatArray:
        """Return the probability of high arousal, shape () or (n,) for a posterior of shape (8,) or (n, 8)."""
        logit = self.slope * log_odds(scores) + self.offset
        # The logistic function; this form does not overflow.
        return np.asarray((1 + np.tanh(logit / 2)) / 2)

    def level(self, probability: float) -> ActivationLevel:
        """Return the level for a probability of high arousal."""
        if max(probability, 1 - probability) < self.unknown_below:
            return "unknown"
        return "high" if probability >= 0.5 else "low"

    def decide(self, scores: npt.NDArray[Any]) -> Activation:
        """Return the activation for a posterior of shape (8,)."""
        probability = float(self.probability(scores))
        return Activation(self.level(probability), probability)
