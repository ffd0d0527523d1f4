"""Temperature scaling that depends on the length of the speech."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ser_model.types import SAMPLE_RATE

SHORT: Final = 2 * SAMPLE_RATE // 10
LONG: Final = 18 * SAMPLE_RATE // 10
"""Voiced samples (0.2 and 1.8 s) between which the temperature changes; chosen on validation actors."""


@dataclass(frozen=True, slots=True)
class Temperature:
    """Divisor of the logits (Guo et al. 2017, arXiv 1706.04599) whose inverse grows linearly with the voiced time.

    A network is as confident after half a word as after a sentence, but wrong more often. One temperature for both
    would calibrate neither.

    Examples:
        >>> Temperature(short=2.0, long=1.0).after(np.array([0, 16_000, 48_000])).tolist()
        [2.0, 1.3333333333333333, 1.0]
    """

    short: float
    """Divisor for 0.2 s of voiced audio or less."""
    long: float
    """Divisor for 1.8 s or more."""

    def after(self, voiced: npt.NDArray[Any] | int) -> npt.NDArray[np.float64]:
        """Return the divisor for a number of voiced samples, shape as given."""
        return np.asarray(1 / np.interp(voiced, (SHORT, LONG), (1 / self.short, 1 / self.long)))
