"""From logits to an answer: temperature, smoothing, and `unknown`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ser_model.config import DecisionConfig
from ser_model.labels import LABELS, UNKNOWN
from ser_model.network.metadata import ModelMetadata
from ser_model.scoring.ood import OodScorer
from ser_model.scoring.smoothing import Smoother
from ser_model.scoring.softmax import softmax
from ser_model.scoring.temperature import Temperature
from ser_model.types import to_samples

Scores = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Answer:
    """A label with its confidence, or `unknown` with a reason."""

    label: str
    reason: str | None
    """`too-short`, `unlike-speech` or `low-confidence`, the first that holds; None where there is a label."""
    top: str
    confidence: float
    scores: dict[str, float]
    calibrated: bool
    """Whether the scores went through temperatures fitted for the model."""


class Decision:
    """Judges one utterance after the other; remembers the smoothed scores of the open one."""

    def __init__(self, config: DecisionConfig, metadata: ModelMetadata) -> None:
        own = config.temperature
        self._temperature = metadata.temperatures() if own is None else Temperature(own, own)
        self._calibrated = metadata.calibrated and config.temperature is None
        self._threshold = metadata.unknown_below if config.unknown_below is None else config.unknown_below
        self._min_voiced = to_samples(config.min_voiced_ms)
        known = metadata.unlike_speech if config.unlike_speech else None
        self._unlike = None if known is None else OodScorer(known)
        self._smoother = Smoother(config.smoothing, config.margin)

    def reset(self) -> None:
        """Begin another utterance."""
        self._smoother.reset()

    def partial(self, logits: Numbers, voiced: int, embedding: Numbers | None = None) -> Answer:
        """Answer for a window, smoothed with the windows before it.

        Args:
            logits: shape (8,).
            voiced: samples of the utterance so far that were voiced.
            embedding: shape (hidden,); without it nothing is found unlike speech.
        """
        scores, shown = self._smoother.push(self._posterior(logits, voiced))
        return self._answer(scores, shown, voiced, self._is_out_of_distribution(logits, embedding, window=True))

    def final(self, logits: Numbers | None, voiced: int, embedding: Numbers | None = None) -> Answer:
        """Answer for the utterance, from its own logits alone; None: nothing was computed."""
        if logits is None:
            scores = np.full(len(LABELS), 1 / len(LABELS))
            return self._answer(scores, 0, voiced, unlike=False)
        scores = self._posterior(logits, voiced)
        return self._answer(
            scores, int(scores.argmax()), voiced, self._is_out_of_distribution(logits, embedding, window=False)
        )

    def _is_out_of_distribution(self, logits: Numbers, embedding: Numbers | None, *, window: bool) -> bool:
        if self._unlike is None or embedding is None:
            return False
        return self._unlike.is_out_of_distribution(logits, embedding, window=window)

    def _posterior(self, logits: Numbers, voiced: int) -> Scores:
        """Softmax of the logits divided by the temperature."""
        return softmax(logits.astype(np.float64) / self._temperature.after(voiced))

    def _answer(self, scores: Scores, best: int, voiced: int, unlike: bool) -> Answer:
        confidence = float(scores[best])
        reason = None
        if voiced < self._min_voiced:
            reason = "too-short"
        elif unlike:
            reason = "unlike-speech"
        elif confidence < self._threshold:
            reason = "low-confidence"
        return Answer(
            label=UNKNOWN if reason else LABELS[best],
            reason=reason,
            top=LABELS[best],
            confidence=confidence,
            scores=dict(zip(LABELS, scores.tolist(), strict=True)),
            calibrated=self._calibrated,
        )
