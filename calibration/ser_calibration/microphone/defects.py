"""Detect defects of a signal: clipping and dropouts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ser_model.types import SAMPLE_RATE, Samples

DROPOUT_SECONDS = (0.002, 0.25)
"""Shortest and longest run of zeros that counts as a dropout. A sound server loses whole fragments of its buffer, of
milliseconds to tenths of a second. Longer zeros are a muted pause."""

_EDGE = 32
"""Samples on either side of a dropout, 2 ms."""
_EDGE_RMS = 8.0


@dataclass(frozen=True, slots=True)
class Dropouts:
    """Parts of a signal that were replaced by zeros."""

    count: int
    longest_ms: float


def clipped_share(samples: Samples) -> float:
    """Return the share of samples on flat tops: three or more in a row within 1 % of the recording's peak.

    The limit is relative to the peak because an amplifier before the converter clips below full scale, too.
    Unclipped waves reach it rarely, and for few samples.
    """
    runs = _flat_runs(samples)
    return float(runs.sum()) / len(samples) if len(runs) else 0.0


def longest_flat_top(samples: Samples) -> int:
    """Return the length of the longest flat top in samples; 0 if there is none."""
    return int(_flat_runs(samples).max(initial=0))


def full_scale_share(samples: Samples) -> float:
    """Return the share of samples at full scale, 0 to 1."""
    return float(np.mean(np.abs(samples.astype(np.int32)) >= 32767)) if len(samples) else 0.0


def find_dropouts(samples: Samples) -> Dropouts:
    """Find runs of zeros with sound directly before and after them, as a lost fragment of a buffer leaves them.

    The 2 ms on either side must exceed quantisation noise (8 steps, -72 dBFS). Sound of that level is never exactly
    zero for so long, and noise suppression fades out before it mutes.

    Args:
        samples: int16, shape (n,), 16 kHz.
    """
    starts, ends = _runs(samples == 0)
    shortest, longest = (round(seconds * SAMPLE_RATE) for seconds in DROPOUT_SECONDS)
    lengths = [
        int(end - start)
        for start, end in zip(starts, ends, strict=True)
        if shortest <= end - start <= longest
        and _loud(samples[max(start - _EDGE, 0) : start])
        and _loud(samples[end : end + _EDGE])
    ]
    return Dropouts(len(lengths), 1000.0 * max(lengths, default=0) / SAMPLE_RATE)


def _loud(edge: Samples) -> bool:
    return len(edge) == _EDGE and float(np.sqrt(np.mean(edge.astype(np.float64) ** 2))) >= _EDGE_RMS


def _flat_runs(samples: Samples) -> npt.NDArray[np.intp]:
    """Return the length of every flat top."""
    magnitude = np.abs(samples.astype(np.int32))
    peak = int(magnitude.max(initial=0))
    # For a smaller peak, 1 % is only a few steps of the converter.
    if peak < 1000:
        return np.zeros(0, dtype=np.intp)
    starts, ends = _runs(magnitude >= 0.99 * peak)
    runs = ends - starts
    return runs[runs >= 3]


def _runs(mask: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the start and the end of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return edges[::2], edges[1::2]
