"""Smooths the partial answers of an utterance."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]


class Smoother:
    """Exponential smoothing of the scores, with hysteresis for the label.

    Args:
        weight: of the scores so far in the next ones, 0 (none) to below 1.
        margin: lead in score that another label needs to replace the current one.
        updates: number of successive updates for which it needs the lead.

    Examples:
        >>> smoother = Smoother(weight=0.5)
        >>> smoother.push(np.array([1.0, 0.0]))[1], smoother.push(np.array([0.2, 0.8]))
        (0, (array([0.6, 0.4]), 0))
    """

    def __init__(self, weight: float = 0.0, margin: float = 0.0, updates: int = 1) -> None:
        self._weight = weight
        self._margin = margin
        self._updates = updates
        self._smoothed: Scores | None = None
        self._label = 0
        self._challenger = 0
        self._lead = 0

    def reset(self) -> None:
        """Start another utterance."""
        self._smoothed = None

    def push(self, scores: Scores) -> tuple[Scores, int]:
        """Process the scores of the next window, shape (8,); return the smoothed scores and the index of the label."""
        if self._smoothed is None:
            self._smoothed = scores
            self._label, self._lead = int(scores.argmax()), 0
            return scores, self._label
        self._smoothed = smoothed = self._weight * self._smoothed + (1 - self._weight) * scores
        best = int(smoothed.argmax())
        leads = best != self._label and smoothed[best] - smoothed[self._label] >= self._margin
        self._lead = (self._lead + 1 if best == self._challenger else 1) if leads else 0
        self._challenger = best
        if self._lead >= self._updates:
            self._label, self._lead = best, 0
        return smoothed, self._label
