"""Measure a device's timing: its true sample rate, the lateness of its blocks, and lost samples."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ser_daemon.pipeline.sample_clock import SampleClock
from ser_daemon.sources import Chunk
from ser_model.types import SAMPLE_RATE

SETTLE_SECONDS = 1.0
"""Audio at the start of a stream that is not timed: sound servers first deliver a backlog, or begin late."""

_MIN_SECONDS = 5.0
_MAX_SPREAD_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How samples arrived, by the machine's boot-time clock."""

    seconds: float
    """Length of the received audio."""
    lost_ms: float
    """Missing audio, counted as the daemon counts it (`ser_daemon.pipeline.sample_clock`)."""
    overflows: int
    """Reads before which the device reported lost samples."""
    rate_ppm: float | None
    """How much the device's clock runs faster than its nominal rate, in millionths; `None` if it can't be measured."""
    rate_error_ppm: float
    """Standard error of `rate_ppm`."""
    late_ms: float
    """Delay of the latest block relative to the earliest one."""
    start_ms: float
    """From the request to open the device to its first samples."""
    reported_ms: float | None = None
    """Delay from the microphone to the program that the sound system reports; it is not measured. `None` if unknown."""


class TimingMonitor:
    """Records when each chunk arrives.

    Args:
        opened_at: boot time in seconds of the request to open the device.
    """

    def __init__(self, opened_at: float) -> None:
        self._opened_at = opened_at
        self._clock = SampleClock()
        self._overflows = 0
        self._ends: list[int] = []
        self._arrivals: list[float] = []

    def push(self, chunk: Chunk) -> int:
        """Process the next chunk; return how many samples are missing before it."""
        block = self._clock.place(chunk, live=True)
        self._overflows += chunk.overflowed
        self._ends.append((self._ends[-1] if self._ends else 0) + len(chunk.samples))
        self._arrivals.append(chunk.arrival)
        return block.lost

    def timing(self) -> Timing:
        """Return the timing so far; at least one chunk must have been pushed."""
        received = np.array(self._ends) / SAMPLE_RATE
        arrived = np.array(self._arrivals)
        settled = received > SETTLE_SECONDS
        ppm, error = _rate(received[settled], arrived[settled])
        # By the device's own clock: slow drift is not lateness.
        late = (arrived - received / (1.0 + 1e-6 * (ppm or 0.0)))[settled]
        return Timing(
            seconds=float(received[-1]),
            lost_ms=1000.0 * self._clock.lost / SAMPLE_RATE,
            overflows=self._overflows,
            rate_ppm=ppm,
            rate_error_ppm=error,
            late_ms=1000.0 * float(late.max() - late.min()) if len(late) else 0.0,
            start_ms=1000.0 * max(0.0, self._arrivals[0] - self._opened_at),
        )


def _rate(received: npt.NDArray[np.float64], arrived: npt.NDArray[np.float64]) -> tuple[float | None, float]:
    """Return the deviation of the rate in ppm and its standard error, from a straight line through the arrivals.

    Delays last longer than one block, so the error is at least half of the difference between the line's two halves.
    The rate is `None` if the line is too short, or broken by a loss of samples.
    """
    if len(received) < 8 or received[-1] - received[0] < _MIN_SECONDS:
        return None, math.inf
    slope, error, spread = _line(arrived, received)
    if spread > _MAX_SPREAD_SECONDS:
        return None, math.inf
    half = len(arrived) // 2
    first, _, _ = _line(arrived[:half], received[:half])
    second, _, _ = _line(arrived[half:], received[half:])
    return 1e6 * (slope - 1.0), 1e6 * max(error, abs(first - second) / 2)


def _line(arrived: npt.NDArray[np.float64], received: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the slope of the least-squares line, its standard error, and the residual standard deviation."""
    x, y = arrived - arrived.mean(), received - received.mean()
    square = float(x @ x)
    if square == 0.0:
        return 1.0, math.inf, math.inf
    slope = float(x @ y) / square
    residual = y - slope * x
    spread = math.sqrt(float(residual @ residual) / (len(x) - 2))
    return slope, spread / math.sqrt(square), spread
