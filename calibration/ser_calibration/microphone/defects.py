"""What can be wrong with a signal itself: flat tops, samples at full scale, and holes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ser_model.types import SAMPLE_RATE, Samples

HOLE_SECONDS = (0.002, 0.25)
"""Shortest and longest run of zeros that counts as a hole. A sound server loses whole fragments of its buffer, of
milliseconds to tenths of a second; longer zeros are a pause that something has muted."""

_EDGE = 32
_LOUD_EDGE = 8.0


@dataclass(frozen=True, slots=True)
class Holes:
    """Pieces of a signal that were replaced by zeros."""

    count: int
    longest_ms: float


def clipped_share(samples: Samples) -> float:
    """Return the share of samples on flat tops: three or more in a row within 1 % of the recording's peak.

    Relative to the peak, since an amplifier before the converter clips below full scale, too. The few highest
    waves of a sound recording touch that band for a sample or three; a clipped one does so all the time.
    """
    runs = _flat_runs(samples)
    return float(runs.sum()) / len(samples) if len(runs) else 0.0


def longest_flat(samples: Samples) -> int:
    """Return how many samples the longest flat top has; 0: there is none."""
    return int(_flat_runs(samples).max(initial=0))


def full_scale_share(samples: Samples) -> float:
    """Return the share of samples that have the highest or the lowest value there is, 0 to 1."""
    return float(np.mean(np.abs(samples.astype(np.int32)) >= 32767)) if len(samples) else 0.0


def find_holes(samples: Samples) -> Holes:
    """Find runs of zeros that cut a sound off and let it go on at once, as a lost fragment of a buffer does.

    2 ms on either side are louder than quantisation noise (8 steps, -72 dBFS): there, sound does not stand at exactly
    zero for so long, and what noise suppression mutes fades away first.

    Args:
        samples: int16, shape (n,), 16 kHz.
    """
    starts, ends = _runs(samples == 0)
    shortest, longest = (round(seconds * SAMPLE_RATE) for seconds in HOLE_SECONDS)
    lengths = [
        int(end - start)
        for start, end in zip(starts, ends, strict=True)
        if shortest <= end - start <= longest
        and _loud(samples[max(start - _EDGE, 0) : start])
        and _loud(samples[end : end + _EDGE])
    ]
    return Holes(len(lengths), 1000.0 * max(lengths, default=0) / SAMPLE_RATE)


def _loud(edge: Samples) -> bool:
    return len(edge) == _EDGE and float(np.sqrt(np.mean(edge.astype(np.float64) ** 2))) >= _LOUD_EDGE


def _flat_runs(samples: Samples) -> npt.NDArray[np.intp]:
    """Return the lengths of flat tops."""
    magnitude = np.abs(samples.astype(np.int32))
    peak = int(magnitude.max(initial=0))
    # 1 % of a small number is less than one step of the converter.
    if peak < 1000:
        return np.zeros(0, dtype=np.intp)
    starts, ends = _runs(magnitude >= 0.99 * peak)
    runs = ends - starts
    return runs[runs >= 3]


def _runs(mask: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return where runs of True begin, and where they end."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return edges[::2], edges[1::2]
