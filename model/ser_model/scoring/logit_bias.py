"""The bias of a network's logits with a speaker, whatever the speaker expresses. Adaptation learns it."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_model.labels import LABELS
from ser_model.scoring.softmax import softmax

FloatArray = npt.NDArray[np.float64]

ClassMeanLogits = tuple[tuple[float, ...], ...]
"""Mean logits of each answer (rows), centred, shape (8, 8). The model file holds those of its network."""


def fit_class_mean_logits(logits: npt.NDArray[Any]) -> FloatArray:
    """Fit the class-mean logits: the mean of centred logits, weighted for each answer by its posterior.

    Args:
        logits: of utterances of held-out speakers, shape (n, 8), n at least 1.

    Returns:
        shape (8, 8), answers in rows; every row sums to 0
    """
    shares = softmax(logits)
    centred = logits - logits.mean(axis=1, keepdims=True, dtype=np.float64)
    # The row of an answer that never occurs is zero.
    return np.asarray(shares.T @ centred / np.maximum(shares.sum(axis=0), 1e-12)[:, None])


def class_mean_logits_from(value: object) -> ClassMeanLogits:
    """Read class-mean logits from plain data.

    Raises:
        ValueError: the data are not 8 rows of 8 finite numbers.
    """
    rows = value if isinstance(value, list) else []
    size = len(LABELS)
    if len(rows) != size or not all(isinstance(row, list) and len(row) == size for row in rows):
        raise ValueError(f"typical_logits: expected {size} rows of {size} numbers")
    if not all(is_finite(one) for row in rows for one in row):
        raise ValueError("typical_logits: expected finite numbers")
    return tuple(tuple(float(one) for one in row) for row in rows)


def is_finite(value: object) -> bool:
    """Whether a value is a number, not a bool, that a finite float can hold.

    Examples:
        >>> [is_finite(value) for value in (1, -0.5, True, float("nan"), 10**400, "1")]
        [True, True, False, False, False, False]
    """
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def logit_bias(logits: npt.NDArray[Any], adapted: npt.NDArray[Any], class_means: FloatArray) -> FloatArray:
    """Return what remains of an utterance's centred logits without the class-mean logits of its answer.

    Args:
        logits: of the network, shape (8,).
        adapted: the same less the speaker offset; their softmax is the answer.
        class_means: class-mean logits of the network, shape (8, 8).
    """
    return np.asarray(logits - logits.mean(dtype=np.float64) - softmax(adapted) @ class_means)
