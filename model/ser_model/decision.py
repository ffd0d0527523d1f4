"""From logits to an answer: temperature, smoothing and `unknown`."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ser_model.config import DecisionConfig
from ser_model.labels import LABELS, UNKNOWN
from ser_model.network.metadata import ModelMetadata
from ser_model.scoring.ood import OodScorer
from ser_model.scoring.smoothing import Smoother
from ser_model.scoring.softmax import softmax
from ser_model.scoring.temperature import Temperature
from ser_model.types import Activation, UnknownReason, to_samples

Scores = npt.NDArray[np.float64]
Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Answer:
    """A label with its confidence, or `unknown` with a reason."""

    label: str
    reason: UnknownReason | None
    """Why the label is `unknown`; `None` for any other label."""
    top: str
    """The label with the highest score."""
    confidence: float
    """Score of `top`."""
    scores: dict[str, float]
    """Posterior by label."""
    calibrated: bool
    """Whether the scores use temperatures fitted on held-out speakers."""
    activation: Activation | None
    """Arousal of the voice, from `scores`; `None` where the model cannot say."""


class Decision:
    """Decides one utterance after the other; keeps the smoothed scores of the open one."""

    def __init__(self, config: DecisionConfig, metadata: ModelMetadata) -> None:
        own = config.temperature
        self._temperature = metadata.temperatures() if own is None else Temperature(own, own)
        self._calibrated = metadata.calibrated and config.temperature is None
        self._threshold = metadata.unknown_below if config.unknown_below is None else config.unknown_below
        self._min_voiced = to_samples(config.min_voiced_ms)
        ood = metadata.unlike_speech if config.unlike_speech else None
        self._ood = None if ood is None else OodScorer(ood)
        # They were fitted to scores at the model's own temperatures.
        self._activation = metadata.activation if config.temperature is None else None
        self._smoother = Smoother(config.smoothing, config.margin)

    def reset(self) -> None:
        """Start another utterance."""
        self._smoother.reset()

    def partial(self, logits: Array, voiced: int, embedding: Array | None = None) -> Answer:
        """Return the answer for a window, smoothed with the windows before it.

        Args:
            logits: shape (8,).
            voiced: samples of the utterance so far in voiced frames.
            embedding: shape (hidden,). `None` skips the out-of-distribution check.
        """
        scores, shown = self._smoother.push(self._posterior(logits, voiced))
        return self._answer(scores, shown, voiced, self._is_out_of_distribution(logits, embedding, window=True))

    def final(self, logits: Array | None, voiced: int, embedding: Array | None = None) -> Answer:
        """Return the answer for the utterance, without smoothing. Logits are `None` if there was no frame."""
        if logits is None:
            scores = np.full(len(LABELS), 1 / len(LABELS))
            return replace(self._answer(scores, 0, voiced, ood=False), activation=None)
        scores = self._posterior(logits, voiced)
        return self._answer(
            scores, int(scores.argmax()), voiced, self._is_out_of_distribution(logits, embedding, window=False)
        )

    def _is_out_of_distribution(self, logits: Array, embedding: Array | None, *, window: bool) -> bool:
        if self._ood is None or embedding is None:
            return False
        return self._ood.is_out_of_distribution(logits, embedding, window=window)

    def _posterior(self, logits: Array, voiced: int) -> Scores:
        """Softmax of the logits divided by the temperature."""
        return softmax(logits.astype(np.float64) / self._temperature.after(voiced))

    def _answer(self, scores: Scores, best: int, voiced: int, ood: bool) -> Answer:
        confidence = float(scores[best])
        reason: UnknownReason | None = None
        if voiced < self._min_voiced:
            reason = "too-short"
        elif ood:
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
            activation=self._decide_activation(scores, reason),
        )

    def _decide_activation(self, scores: Scores, reason: UnknownReason | None) -> Activation | None:
        """Return the activation, by its own threshold; its level is `unknown` for what may not be speech."""
        if self._activation is None:
            return None
        activation = self._activation.decide(scores)
        return activation if reason in (None, "low-confidence") else replace(activation, level="unknown")
