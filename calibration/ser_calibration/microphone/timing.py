"""How a device keeps time: its true rate, how late its blocks come, and what it loses."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ser_daemon.pipeline.sample_clock import SampleClock
from ser_daemon.sources import Chunk
from ser_model.types import SAMPLE_RATE

SETTLE_SECONDS = 1.0
"""The first audio of a stream comes at no steady pace: sound servers hand out what they had, or begin late."""

_LEAST_SECONDS = 5.0
_STEADY_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How samples arrived, against the machine's boot-time clock."""

    seconds: float
    """Audio that was received."""
    lost_ms: float
    """Audio that did not come, as the daemon would count it (`ser_daemon.pipeline.sample_clock`)."""
    overflows: int
    """Reads before which the device said that it had lost samples."""
    rate_ppm: float | None
    """How much faster than it claims the device's clock runs, in millionths; None: it can't be told."""
    rate_error_ppm: float
    """Standard error of that."""
    late_ms: float
    """How much later than the most punctual block the latest one came."""
    start_ms: float
    """From the request to open the device to its first samples."""
    reported_ms: float | None = None
    """Delay from the microphone to the program as the sound system reports it, not measured; None: it reports none."""


class Stopwatch:
    """Notes when each chunk arrived."""

    def __init__(self, asked: float) -> None:
        """Begin.

        Args:
            asked: boot time in seconds at which the device was asked to open.
        """
        self._asked = asked
        self._clock = SampleClock()
        self._overflows = 0
        self._ends: list[int] = []
        self._arrivals: list[float] = []

    def push(self, chunk: Chunk) -> int:
        """Take the next chunk; return how many samples went missing before it."""
        block = self._clock.place(chunk, live=True)
        self._overflows += chunk.overflowed
        self._ends.append((self._ends[-1] if self._ends else 0) + len(chunk.samples))
        self._arrivals.append(chunk.arrival)
        return block.lost

    def timing(self) -> Timing:
        """Return what was measured so far; at least one chunk must have come."""
        received = np.array(self._ends) / SAMPLE_RATE
        arrived = np.array(self._arrivals)
        settled = received > SETTLE_SECONDS
        ppm, error = _rate(received[settled], arrived[settled])
        # Along the device's own clock: what drifts away slowly is not late.
        late = (arrived - received / (1.0 + 1e-6 * (ppm or 0.0)))[settled]
        return Timing(
            seconds=float(received[-1]),
            lost_ms=1000.0 * self._clock.lost / SAMPLE_RATE,
            overflows=self._overflows,
            rate_ppm=ppm,
            rate_error_ppm=error,
            late_ms=1000.0 * float(late.max() - late.min()) if len(late) else 0.0,
            start_ms=1000.0 * max(0.0, self._arrivals[0] - self._asked),
        )


def _rate(received: npt.NDArray[np.float64], arrived: npt.NDArray[np.float64]) -> tuple[float | None, float]:
    """Return the rate's deviation in ppm and its standard error, of the straight line through the arrivals.

    What makes blocks late lasts longer than one of them, so the error is at least half of what the two halves differ.
    None where the line is too short, or broken: after a loss the rest of it runs beside the beginning.
    """
    if len(received) < 8 or received[-1] - received[0] < _LEAST_SECONDS:
        return None, math.inf
    slope, error, spread = _line(arrived, received)
    if spread > _STEADY_SECONDS:
        return None, math.inf
    half = len(arrived) // 2
    first, _, _ = _line(arrived[:half], received[:half])
    second, _, _ = _line(arrived[half:], received[half:])
    return 1e6 * (slope - 1.0), 1e6 * max(error, abs(first - second) / 2)


def _line(arrived: npt.NDArray[np.float64], received: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the slope of the line of least squares, its standard error, and the spread around the line."""
    x, y = arrived - arrived.mean(), received - received.mean()
    square = float(x @ x)
    if square == 0.0:
        return 1.0, math.inf, math.inf
    slope = float(x @ y) / square
    residual = y - slope * x
    spread = math.sqrt(float(residual @ residual) / (len(x) - 2))
    return slope, spread / math.sqrt(square), spread
