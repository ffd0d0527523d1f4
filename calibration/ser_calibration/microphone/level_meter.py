"""A level meter in one line of text."""

from __future__ import annotations

import numpy as np

from ser_model.audio.levels import dbfs
from ser_model.types import Samples

_RANGE_DBFS = (-72.0, 0.0)
_WIDTH = 20


def format_level(level_dbfs: float) -> str:
    """Return a level as a bar and a number."""
    low, high = _RANGE_DBFS
    filled = round(min(max((level_dbfs - low) / (high - low), 0.0), 1.0) * _WIDTH)
    return f"[{'#' * filled:<{_WIDTH}}] {level_dbfs:4.0f} dBFS"


def level_meter(samples: Samples) -> str:
    """Return the level of samples as a bar and a number."""
    return format_level(dbfs(samples.astype(np.float32) / 32768.0))


def level_warning(samples: Samples) -> str:
    """Return a warning about muted or clipped samples; empty if there is none."""
    if not samples.any():
        return "  nothing but zeros: muted?"
    return "  TOO LOUD" if int(np.abs(samples.astype(np.int32)).max()) >= 32767 else ""
