"""Unweighted average recall, confusion matrix, AUROC, temperature, and the threshold of `unknown`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ser_model.labels import LABELS
from ser_model.scoring.softmax import softmax

Logits = npt.NDArray[np.floating]
Classes = npt.NDArray[np.int64]

MISSED = -1
"""Predicted class where the gate found no utterance or several, which always counts as an error."""


def uar(truth: Classes, predicted: Classes) -> float:
    """Unweighted average recall: the mean of the recall over the classes that occur."""
    recalls = [np.mean(predicted[truth == emotion] == emotion) for emotion in range(len(LABELS)) if emotion in truth]
    return float(np.mean(recalls))


def confusion(truth: Classes, predicted: Classes) -> npt.NDArray[np.int64]:
    """Confusion matrix, shape (8, 9): true classes in rows, predicted ones in columns; the last column is `MISSED`."""
    table = np.zeros((len(LABELS), len(LABELS) + 1), dtype=np.int64)
    np.add.at(table, (truth, predicted), 1)
    return table


def auroc(low: npt.NDArray[np.float64], high: npt.NDArray[np.float64]) -> float:
    """Return the probability that a score of `high` exceeds one of `low`; ties count half (Mann & Whitney 1947)."""
    ordered = np.sort(low)
    below, up_to = (np.searchsorted(ordered, high, side=side) for side in ("left", "right"))
    return float((below + up_to).mean() / 2 / len(low))


def posterior(logits: Logits, temperature: float | npt.NDArray[np.float64] = 1.0) -> npt.NDArray[np.float64]:
    """Softmax of logits divided by a temperature (one for all, or one for each row), shape as given."""
    return softmax(np.asarray(logits, dtype=np.float64) / np.expand_dims(temperature, -1))


def fit_temperature(logits: Logits, truth: Classes) -> float:
    """Temperature from 0.5 to 5 with the least negative log-likelihood (Guo et al. 2017, arXiv 1706.04599)."""
    grid = np.geomspace(0.5, 5.0, 200)
    losses = [-np.mean(np.log(posterior(logits, t)[np.arange(len(truth)), truth] + 1e-12)) for t in grid]
    return float(grid[int(np.argmin(losses))])


def unknown_threshold(
    probabilities: npt.NDArray[np.float64], truth: Classes, actors: Classes, precision: float
) -> float:
    """Lowest confidence above which the share of right labels is `precision` for other speakers too.

    The threshold is chosen on few actors and used for all speakers. Their precision must therefore exceed the target
    by its standard error over actors (that of a ratio of sums: Cochran 1977, Sampling Techniques, section 6.3).

    Args:
        probabilities: shape (n, 8).
        truth: shape (n,).
        actors: the speakers, shape (n,).
        precision: share of right labels.

    Returns:
        the confidence; 1.0 if there is none
    """
    confidence = probabilities.max(axis=1)
    order = np.argsort(-confidence)
    right = (probabilities.argmax(axis=1) == truth)[order]
    speakers, own = np.unique(actors[order], return_inverse=True)
    given_by = np.cumsum(np.eye(len(speakers))[own], axis=0)
    right_by = np.cumsum(np.eye(len(speakers))[own] * right[:, None], axis=0)
    given = given_by.sum(axis=1)
    running = right_by.sum(axis=1) / given
    squares = np.square(right_by - running[:, None] * given_by).sum(axis=1)
    error = np.sqrt(squares * len(speakers) / max(len(speakers) - 1, 1)) / given
    enough = np.flatnonzero(running - error >= precision)
    return float(confidence[order][enough[-1]]) if len(enough) else 1.0
