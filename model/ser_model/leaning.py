"""How a network leans with a voice, whatever the voice expresses: what `ser_model.adaptation` learns."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

_TYPICAL: Final = np.array(
    (
        (1.63, 0.61, 0.17, 0.38, -0.65, -0.65, -0.86, -0.63),
        (0.72, 2.65, -0.47, 0.90, -1.56, -0.42, -0.70, -1.12),
        (-0.45, -1.00, 1.95, 0.18, -0.07, 0.17, -1.03, 0.24),
        (-0.11, -0.04, 0.08, 1.44, -0.94, 0.31, -0.18, -0.55),
        (-0.84, -1.94, 0.34, -0.72, 2.51, 0.36, 0.24, 0.04),
        (-1.09, -1.21, 0.52, 0.54, -0.09, 2.01, -0.76, 0.09),
        (-0.92, -1.02, -0.66, 0.34, 0.42, -0.38, 2.38, -0.17),
        (-1.00, -1.36, 0.57, -0.34, 0.01, 0.23, -0.19, 2.08),
    )
)
"""Mean logits, less their mean, by answer (rows) of networks as `ser-model train` makes them, for validation actors
whom they had not heard (1770 answers of fifteen networks). It hardly differs between networks, and a fifth more or less
of it changes little."""


def lean(logits: npt.NDArray[Any], judged: npt.NDArray[Any]) -> Numbers:
    """What is left of an utterance's logits without their mean and without what is typical of the answer.

    Args:
        logits: of the network, shape (8,).
        judged: the same as they were judged; the answer is their softmax.
    """
    scores = np.exp(judged.astype(np.float64) - judged.max())
    return np.asarray(logits - logits.mean(dtype=np.float64) - (scores / scores.sum()) @ _TYPICAL)
