"""The taught head: what a speaker's own examples change about the logits.

It is a linear residual of the network's embedding, with one row for each label that was taught. Its rows are maximum a
posteriori estimates: multinomial logistic regression whose offset is the network's own answer, with a Gaussian prior
around zero. So without examples nothing changes, and every example has the more to say the more agree with it. The
fit uses the bound of the Hessian by Böhning (1992, doi 10.1007/BF00048682): every step goes downhill without a search.

Only the labels that were taught share what they had together among them; the others keep their scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ser_model.errors import AdaptationError
from ser_model.labels import LABELS
from ser_model.scoring.logit_bias import is_finite
from ser_model.scoring.softmax import softmax

FloatArray = npt.NDArray[np.float64]

MOST_EXAMPLES: Final = 500
"""Examples that a head is fitted to at most; the fit takes longer the more there are."""

_STEPS: Final = 300
_STILL: Final = 1e-4
"""Largest change of a weight in a step after which the fit ends."""
_MAX_LOGIT: Final = 100.0
_MAX_EMBEDDING: Final = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TeachingStrength:
    """Priors of the head; chosen on corpora that the networks never heard (`docs/teaching.md`)."""

    weight_precision: float = 3.0
    """Precision of the Gaussian prior of a weight."""
    bias_precision: float = 0.3
    """Precision of the Gaussian prior of a bias."""
    temperature: float = 0.7
    """The taught logits are divided by it: examples make the answers surer than the network is of a stranger."""


@dataclass(frozen=True, slots=True, eq=False)
class TaughtExample:
    """What is kept of an utterance with a known label: numbers, no audio."""

    label: str
    """One of `LABELS`."""
    logits: FloatArray
    """Of the network for the whole utterance, shape (8,)."""
    embedding: FloatArray
    """Of the network, shape (hidden,)."""

    def to_data(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        numbers = {name: [round(float(one), 5) for one in getattr(self, name)] for name in ("logits", "embedding")}
        return {"label": self.label, **numbers}

    @classmethod
    def from_data(cls, data: object, hidden: int) -> TaughtExample:
        """Read and check plain data.

        Args:
            data: the result of `to_data`.
            hidden: length of the network's embedding.

        Raises:
            AdaptationError: the data are damaged, or the label is none of `LABELS`.
        """
        if not isinstance(data, Mapping):
            raise AdaptationError("is damaged: expected examples")
        label = data.get("label")
        if label not in LABELS:
            raise AdaptationError(f"has an example of {label!r:.40}, which is none of {', '.join(LABELS)}")
        logits = _numbers(data, "logits", len(LABELS), _MAX_LOGIT)
        return cls(str(label), logits, _numbers(data, "embedding", hidden, _MAX_EMBEDDING))


@dataclass(frozen=True, slots=True, eq=False)
class TaughtHead:
    """A residual of the logits for the labels that were taught."""

    labels: tuple[str, ...]
    """Labels that were taught, in the order of `LABELS`."""
    weights: FloatArray
    """Shape (labels, hidden + 1); the last column is the bias."""
    scale: float
    """Temperature of the network's logits in the fit."""
    temperature: float
    """Temperature of the result."""
    examples: int
    """Examples behind it."""

    def apply(self, logits: npt.NDArray[Any], embedding: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return the taught logits, shape (8,), at the network's own temperature."""
        own = np.array([LABELS.index(label) for label in self.labels])
        scaled = np.asarray(logits, dtype=np.float64) / self.scale
        taught = scaled[own] + self.weights @ np.append(embedding, 1.0)
        # The labels share what they had together: the others keep their posterior.
        result = scaled.copy()
        result[own] = taught + np.logaddexp.reduce(scaled[own]) - np.logaddexp.reduce(taught)
        return np.asarray(result * self.scale / self.temperature, dtype=np.float32)


def fit_head(
    examples: Sequence[TaughtExample], temperature: float, strength: TeachingStrength | None = None
) -> TaughtHead | None:
    """Fit a head to examples, the newest `MOST_EXAMPLES` of them.

    Args:
        examples: in any order, the newest last.
        temperature: of the network for a long utterance.
        strength: the priors.

    Returns:
        `None` where fewer than two labels have examples: one alone says nothing about the others
    """
    strength = strength or TeachingStrength()
    used = list(examples)[-MOST_EXAMPLES:]
    labels = tuple(label for label in LABELS if any(one.label == label for one in used))
    if len(labels) < 2:
        return None
    own = [LABELS.index(label) for label in labels]
    base = np.array([one.logits for one in used], dtype=np.float64)[:, own] / temperature
    inputs = np.array([np.append(one.embedding, 1.0) for one in used], dtype=np.float64)
    targets = np.eye(len(labels))[[labels.index(one.label) for one in used]]
    precisions = np.full(inputs.shape[1], strength.weight_precision)
    precisions[-1] = strength.bias_precision
    return TaughtHead(labels, _fit(base, inputs, targets, precisions), temperature, strength.temperature, len(used))


def _fit(base: FloatArray, inputs: FloatArray, targets: FloatArray, precisions: FloatArray) -> FloatArray:
    """Weights, shape (labels, inputs), at the maximum of the posterior."""
    step = np.linalg.inv(inputs.T @ inputs / 2 + np.diag(precisions))
    weights = np.zeros((targets.shape[1], inputs.shape[1]))
    for _ in range(_STEPS):
        gradient = (softmax(base + inputs @ weights.T) - targets).T @ inputs + precisions * weights
        change = gradient @ step
        weights -= change
        if np.abs(change).max() < _STILL:
            break
    return weights


def _numbers(data: Mapping[Any, Any], name: str, count: int, most: float) -> FloatArray:
    values = data.get(name)
    if not isinstance(values, list) or len(values) != count or not all(is_finite(one) for one in values):
        raise AdaptationError(f"is damaged: {name} of an example: expected {count} numbers")
    numbers = np.array(values, dtype=np.float64)
    if np.abs(numbers).max() > most:
        raise AdaptationError(f"is damaged: {name} of an example: expected numbers up to {most:g}")
    return numbers
