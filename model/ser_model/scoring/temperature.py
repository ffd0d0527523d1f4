"""How sure an answer may be by how much was heard: a temperature that falls while somebody speaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ser_model.types import SAMPLE_RATE

SHORT: Final = 2 * SAMPLE_RATE // 10
LONG: Final = 18 * SAMPLE_RATE // 10
"""Voiced samples (0.2 and 1.8 s) between which it changes, chosen by validation actors; outside it stays."""


@dataclass(frozen=True, slots=True)
class Temperature:
    """Divisor of the logits (Guo et al. 2017, arXiv 1706.04599) whose inverse grows linearly with the speech heard.

    After half a word a network is as sure as after a sentence, and mostly wrong: one number for both is honest about
    neither.
    """

    short: float
    """After 0.2 s of voice or less."""
    long: float
    """After 1.8 s or more."""

    def after(self, voiced: npt.NDArray[Any] | int) -> npt.NDArray[np.float64]:
        """The divisor after so many voiced samples, shape as given."""
        return np.asarray(1 / np.interp(voiced, (SHORT, LONG), (1 / self.short, 1 / self.long)))
