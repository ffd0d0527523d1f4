"""The softmax of logits."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def softmax(logits: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Softmax over the last axis, computed in float64; shape as given.

    Examples:
        >>> softmax(np.array([0.0, 0.0, np.log(2.0)])).tolist()
        [0.25, 0.25, 0.5]
    """
    values = np.asarray(logits, dtype=np.float64)
    exponentials = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))
