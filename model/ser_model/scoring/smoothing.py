"""Steadies the partial answers of an utterance."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]


class Smoother:
    """Exponential smoothing of the scores, and a shown label that only gives way to a clear successor.

    Args:
        weight: of the scores so far in the next ones, 0 (none) to below 1.
        margin: by how much another label's score must lead that of the shown one.
        updates: for how many updates in a row it must do so.
    """

    def __init__(self, weight: float = 0.0, margin: float = 0.0, updates: int = 1) -> None:
        self._weight = weight
        self._margin = margin
        self._updates = updates
        self._smoothed: Scores | None = None
        self._shown = 0
        self._challenger = 0
        self._lead = 0

    def reset(self) -> None:
        """Begin another utterance."""
        self._smoothed = None

    def push(self, scores: Scores) -> tuple[Scores, int]:
        """Take the scores of the next window, shape (8,); return the smoothed ones and the label to show."""
        if self._smoothed is None:
            self._smoothed = scores
            self._shown, self._lead = int(scores.argmax()), 0
            return scores, self._shown
        self._smoothed = smoothed = self._weight * self._smoothed + (1 - self._weight) * scores
        best = int(smoothed.argmax())
        leads = best != self._shown and smoothed[best] - smoothed[self._shown] >= self._margin
        self._lead = (self._lead + 1 if best == self._challenger else 1) if leads else 0
        self._challenger = best
        if self._lead >= self._updates:
            self._shown, self._lead = best, 0
        return smoothed, self._shown
