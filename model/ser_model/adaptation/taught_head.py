"""The taught head: what a speaker's own examples change about the logits.

It is a linear residual of the network's embedding, with one row for each label that was taught. Its rows are maximum a
posteriori estimates: multinomial logistic regression whose offset is the network's own answer, with a Gaussian prior
around zero. So without examples nothing changes, and every example has the more to say the more agree with it: how
well the examples foretell each other chooses the strength of the prior, and the temperature.

- Labels that were not taught keep their logits, and so does the best of those that were: an answer that was none of
  them stays what it was. A wrong answer that an example corrects takes part too, or no correction could win against it.
- An utterance that is far from all examples, as of another speaker, is left to the network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ser_model.adaptation import residual_fit
from ser_model.errors import AdaptationError
from ser_model.labels import LABELS
from ser_model.scoring.logit_bias import is_finite

FloatArray = npt.NDArray[np.float64]

MOST_EXAMPLES: Final = 500
"""Examples that a head is fitted to at most; the fit takes longer the more there are."""

_JUDGED: Final = 100
"""Examples, the newest, that choose the prior and the temperature; more would not choose better."""
_STEEPNESS: Final = 8
"""Exponent of the distance in the gate."""
_MAX_LOGIT: Final = 100.0
_MAX_EMBEDDING: Final = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TeachingStrength:
    """Priors of the head; chosen on corpora that the networks never heard (`docs/teaching.md`)."""

    weight_precisions: tuple[float, ...] = (2.0, 8.0)
    """Precisions of the Gaussian prior of a weight; the examples choose one of them."""
    bias_precision: float = 0.3
    """Precision of the Gaussian prior of a bias."""
    temperature: float = 0.42
    """The taught logits are divided by about that: examples make the answers surer than the network is of a
    stranger."""
    temperature_precision: float = 80.0
    """Precision of the prior of the temperature's logarithm, around `temperature`."""
    whitening: float = 0.75
    """How far the embedding is whitened, from 0 to 1, where the model says how."""
    reach: float = 1.4
    """Distance to the nearest example at which half of the head is left; 1 is the median between examples."""


@dataclass(frozen=True, slots=True, eq=False)
class TaughtExample:
    """What is kept of an utterance with a known label: numbers, no audio."""

    label: str
    """One of `LABELS`."""
    logits: FloatArray
    """Of the network for the whole utterance, shape (8,)."""
    embedding: FloatArray
    """Of the network, shape (hidden,)."""
    instead_of: str = ""
    """Label of the wrong answer that this corrects; empty: none."""

    def to_data(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        numbers = {name: [round(float(one), 5) for one in getattr(self, name)] for name in ("logits", "embedding")}
        return {"label": self.label, **({"instead_of": self.instead_of} if self.instead_of else {}), **numbers}

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
        wrong = data.get("instead_of", "")
        if wrong not in ("", *LABELS):
            raise AdaptationError(f"has an example instead of {wrong!r:.40}, which is none of {', '.join(LABELS)}")
        logits = _numbers(data, "logits", len(LABELS), _MAX_LOGIT)
        return cls(str(label), logits, _numbers(data, "embedding", hidden, _MAX_EMBEDDING), str(wrong))


@dataclass(frozen=True, slots=True, eq=False)
class TaughtHead:
    """A residual of the logits for the labels that were taught."""

    labels: tuple[str, ...]
    """Labels that were taught, and wrong answers that were corrected, in the order of `LABELS`."""
    weights: FloatArray
    """For the embedding in the metric, shape (labels, hidden + 1); the last column is the bias."""
    metric: FloatArray
    """The embedding is multiplied by it first, shape (hidden, hidden)."""
    near: FloatArray
    """Embeddings of the examples in the metric, shape (examples, hidden)."""
    reach: float
    """Distance to the nearest of them at which half of the residual is left."""
    scale: float
    """Temperature of the network's logits in the fit."""
    temperature: float
    """Temperature of the result."""

    @property
    def examples(self) -> int:
        """Examples behind it."""
        return len(self.near)

    def apply(self, logits: npt.NDArray[Any], embedding: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return the taught logits, shape (8,), at the network's own temperature."""
        own = np.array([LABELS.index(label) for label in self.labels])
        result = np.asarray(logits, dtype=np.float64) / self.scale
        placed = np.asarray(embedding, dtype=np.float64) @ self.metric
        residual = self._resemblance(placed) * (self.weights @ np.append(placed, 1.0))
        taught = result[own] + residual
        # The best of them stays as good as it was, so that no label that was not taught pays.
        result[own] = taught - taught.max() + result[own].max()
        return np.asarray(result * self.scale / self.temperature, dtype=np.float32)

    def _resemblance(self, placed: FloatArray) -> float:
        """How much an utterance is like the examples, from 0 to 1."""
        distance = float(np.sqrt(np.square(self.near - placed).sum(axis=1).min()))
        return float(1 / (1 + min(distance / self.reach, 1e9) ** _STEEPNESS))


def fit_head(
    examples: Sequence[TaughtExample],
    temperature: float,
    strength: TeachingStrength | None = None,
    *,
    whitening: npt.ArrayLike = (),
) -> TaughtHead | None:
    """Fit a head to examples, the newest `MOST_EXAMPLES` of them.

    Args:
        examples: in any order, the newest last.
        temperature: of the network for a long utterance.
        strength: the priors.
        whitening: of the embedding, shape (hidden, hidden), see `ModelMetadata.whitening`; empty: not known.

    Returns:
        `None` where fewer than two labels have examples or were corrected: one alone says nothing about the others
    """
    strength = strength or TeachingStrength()
    used = list(examples)[-MOST_EXAMPLES:]
    labels = tuple(label for label in LABELS if any(label in (one.label, one.instead_of) for one in used))
    if len(labels) < 2:
        return None
    own = [LABELS.index(label) for label in labels]
    base = np.array([one.logits for one in used], dtype=np.float64)[:, own] / temperature
    embeddings = np.array([one.embedding for one in used], dtype=np.float64)
    known = np.asarray(whitening, dtype=np.float64)
    place = residual_fit.metric(known, strength.whitening) if known.size else np.eye(embeddings.shape[1])
    near = embeddings @ place
    targets = np.eye(len(labels))[[labels.index(one.label) for one in used]]
    weights, own_temperature = _fit(base, np.pad(near, ((0, 0), (0, 1)), constant_values=1.0), targets, strength)
    reach = strength.reach * _typical_distance(near)
    return TaughtHead(labels, weights, place, near, reach, temperature, own_temperature)


def _fit(
    base: FloatArray, inputs: FloatArray, targets: FloatArray, strength: TeachingStrength
) -> tuple[FloatArray, float]:
    """Weights and temperature; both priors are judged by how well the examples foretell each other."""
    judged = (base[-_JUDGED:], inputs[-_JUDGED:], targets[-_JUDGED:])
    best: tuple[float, FloatArray, FloatArray, FloatArray] | None = None
    for precision in strength.weight_precisions:
        precisions = np.full(inputs.shape[1], precision)
        precisions[-1] = strength.bias_precision
        weights = residual_fit.fit_residual(*judged, precisions)
        foretold = residual_fit.leave_one_out(*judged, precisions, weights)
        likelihood = residual_fit.log_likelihood(foretold, judged[2])
        if best is None or likelihood > best[0]:
            best = likelihood, precisions, weights, foretold
    assert best is not None
    _, precisions, weights, foretold = best
    if len(base) > _JUDGED:
        weights = residual_fit.fit_residual(base, inputs, targets, precisions)
    expected, certainty = strength.temperature, strength.temperature_precision
    return weights, residual_fit.choose_temperature(foretold, judged[2], expected, certainty)


def _typical_distance(near: FloatArray) -> float:
    """Median distance from an example to the nearest other one, above 0."""
    squares = np.square(near).sum(axis=1)
    distances = squares[:, None] + squares[None] - 2 * near @ near.T
    np.fill_diagonal(distances, np.inf)
    return max(float(np.sqrt(np.median(np.maximum(distances.min(axis=1), 0.0)))), 1e-6)


def _numbers(data: Mapping[Any, Any], name: str, count: int, most: float) -> FloatArray:
    values = data.get(name)
    if not isinstance(values, list) or len(values) != count or not all(is_finite(one) for one in values):
        raise AdaptationError(f"is damaged: {name} of an example: expected {count} numbers")
    numbers = np.array(values, dtype=np.float64)
    if np.abs(numbers).max() > most:
        raise AdaptationError(f"is damaged: {name} of an example: expected numbers up to {most:g}")
    return numbers
