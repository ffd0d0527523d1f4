"""From logits to an answer: temperature, smoothing, and `unknown`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ser_model.config import DecisionConfig
from ser_model.gate import to_samples
from ser_model.labels import LABELS, UNKNOWN
from ser_model.metadata import ModelMetadata

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Answer:
    """A label with its confidence, or `unknown` with a reason."""

    label: str
    reason: str | None
    top: str
    confidence: float
    scores: dict[str, float]


class Decision:
    """Judges one utterance after the other; remembers the smoothed scores of the open one."""

    def __init__(self, config: DecisionConfig, metadata: ModelMetadata) -> None:
        self._temperature = metadata.temperature if config.temperature is None else config.temperature
        self._threshold = metadata.unknown_below if config.unknown_below is None else config.unknown_below
        self._min_voiced = to_samples(config.min_voiced_ms)
        self._weight = config.smoothing
        self._smoothed: Scores | None = None

    def reset(self) -> None:
        """Begin another utterance."""
        self._smoothed = None

    def partial(self, logits: npt.NDArray[np.float32], voiced: int) -> Answer:
        """Answer for a window: exponentially smoothed with the windows before it."""
        scores = self._posterior(logits)
        if self._smoothed is not None:
            scores = self._weight * self._smoothed + (1 - self._weight) * scores
        self._smoothed = scores
        return self._answer(scores, voiced)

    def final(self, logits: npt.NDArray[np.float32] | None, voiced: int) -> Answer:
        """Answer for the utterance, from its own logits alone; None: nothing was computed."""
        scores = np.full(len(LABELS), 1 / len(LABELS)) if logits is None else self._posterior(logits)
        return self._answer(scores, voiced)

    def _posterior(self, logits: npt.NDArray[np.float32]) -> Scores:
        """Softmax of the logits divided by the temperature (Guo et al. 2017, arXiv 1706.04599)."""
        scaled = logits.astype(np.float64) / self._temperature
        exponential = np.exp(scaled - scaled.max())
        return np.asarray(exponential / exponential.sum())

    def _answer(self, scores: Scores, voiced: int) -> Answer:
        best = int(scores.argmax())
        confidence = float(scores[best])
        reason = None
        if voiced < self._min_voiced:
            reason = "too-short"
        elif confidence < self._threshold:
            reason = "low-confidence"
        return Answer(
            label=UNKNOWN if reason else LABELS[best],
            reason=reason,
            top=LABELS[best],
            confidence=confidence,
            scores=dict(zip(LABELS, scores.tolist(), strict=True)),
        )
