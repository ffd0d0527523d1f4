"""How a network leans with a voice, whatever the voice expresses: what `ser_model.adaptation.adaptation` learns."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_model.labels import LABELS
from ser_model.scoring.softmax import softmax

Numbers = npt.NDArray[np.float64]

ClassMeanLogits = tuple[tuple[float, ...], ...]
"""Logits less their mean that are typical of each answer (rows), shape (8, 8): a network's own, kept in its file."""


def fit_class_mean_logits(logits: npt.NDArray[Any]) -> Numbers:
    """What is typical of each answer: the mean of all utterances' logits, each weighing as much as it gives the answer.

    Args:
        logits: for utterances of speakers whom the networks had not heard, shape (n, 8), n at least 1.

    Returns:
        shape (8, 8), answers in rows; every row sums to 0
    """
    shares = softmax(logits)
    centred = logits - logits.mean(axis=1, keepdims=True, dtype=np.float64)
    # An answer that nobody ever got has a row of zeros.
    return np.asarray(shares.T @ centred / np.maximum(shares.sum(axis=0), 1e-12)[:, None])


def class_mean_logits_from(value: object) -> ClassMeanLogits:
    """Read a table from plain data.

    Raises:
        ValueError: it is something else.
    """
    rows = value if isinstance(value, list) else []
    size = len(LABELS)
    if len(rows) != size or not all(isinstance(row, list) and len(row) == size for row in rows):
        raise ValueError(f"typical_logits: expected {size} rows of {size} numbers")
    if not all(is_finite(one) for row in rows for one in row):
        raise ValueError("typical_logits: expected finite numbers")
    return tuple(tuple(float(one) for one in row) for row in rows)


def is_finite(value: object) -> bool:
    """Whether it is a number that a float can hold: no truth value, none without end, and no integer beyond."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def logit_bias(logits: npt.NDArray[Any], judged: npt.NDArray[Any], typical: Numbers) -> Numbers:
    """What is left of an utterance's logits without their mean and without what is typical of the answer.

    Args:
        logits: of the network, shape (8,).
        judged: the same as they were judged; the answer is their softmax.
        typical: the network's table, shape (8, 8).
    """
    return np.asarray(logits - logits.mean(dtype=np.float64) - softmax(judged) @ typical)
