"""The sample clock: it gives every sample one position, and compares it with the machine's boot-time clock."""

from __future__ import annotations

from collections import deque

from ser_daemon.sources.base import Chunk
from ser_model.types import SAMPLE_RATE, Block

FLAGGED_TOLERANCE = 0.100
"""Seconds that a chunk may be late before samples count as lost, after the device reported an overflow.
Sound servers deliver audio in fragments, so the chunks of a healthy stream are late by up to a fragment."""

SILENT_TOLERANCE = 0.250
"""Seconds that a stream may stay late before samples count as lost, without a report from the device."""

WINDOW = 1.0
"""Seconds over which the smallest lateness is taken. A reader that stalled catches up within them; a gap stays."""

SURE_LOSS = 1.0
"""Seconds of lateness that always mean a loss (a suspend, for example) once no more audio is buffered.
Before that, a sound server may still deliver seconds of buffered audio at once."""

CATCH_UP = 0.3
"""Seconds within which a reader has taken all buffered audio, however much."""

DRIFT = 0.0005
"""Largest relative drift of a device's clock that is followed, and not counted as a loss (500 ppm)."""

REMEMBERED = 512
"""Blocks whose arrival is kept: with 10 ms each, they span the longest hangover."""


class SampleClock:
    """Gives every chunk its position. There is one clock per process; it never goes back and is never reset.

    A live source is compared with the boot-time clock. Samples that are missing after an overflow, a reopening, a mute
    or a suspend are inserted as `Block.lost`. A source that ends (file, stdin) only counts samples, so that positions
    do not depend on the reading speed.
    """

    def __init__(self) -> None:
        self.position = 0
        """Position of the next sample."""
        self.lost = 0
        """Samples inserted so far."""
        self._origin: float | None = None
        self._arrivals: deque[tuple[int, float]] = deque(maxlen=REMEMBERED)
        """(position after the last sample, arrival) of the latest blocks."""
        self._late_since: float | None = None
        """Arrival of the first of consecutive chunks that were later than `SURE_LOSS`."""
        self._recent: deque[tuple[float, float]] = deque()
        """(arrival, origin computed from that chunk alone) of the last `WINDOW` seconds."""

    @property
    def origin(self) -> float | None:
        """Boot time in seconds of position 0, from the most punctual chunks; None before the first chunk."""
        return self._origin

    def place(self, chunk: Chunk, *, live: bool, reopened: bool = False) -> Block:
        """Convert a chunk to a block.

        Args:
            chunk: as the source returned it.
            live: the source is a device (see the class).
            reopened: the source was opened again before this chunk, so audio is certainly missing.
        """
        missing = self._missing(chunk, reopened) if live else self._count(chunk)
        start = self.position + missing
        self.position = start + len(chunk.samples)
        self.lost += missing
        self._arrivals.append((self.position, chunk.arrival))
        return Block(samples=chunk.samples, start=start, arrival=chunk.arrival, lost=missing)

    def arrival_of(self, position: int) -> float | None:
        """Return when the sample before `position` was available (boot time in seconds); None: no longer known.

        May be called from another thread.
        """
        # The copy is atomic, whatever the capture thread appends meanwhile.
        for end, arrival in tuple(self._arrivals):
            if end >= position:
                return arrival
        return None

    def _count(self, chunk: Chunk) -> int:
        """Set the origin for a source that ends; none of its samples is ever missing."""
        if self._origin is None:
            self._origin = chunk.arrival - (self.position + len(chunk.samples)) / SAMPLE_RATE
        return 0

    def _missing(self, chunk: Chunk, reopened: bool) -> int:
        """Return the number of samples that are missing before this chunk, by the time that has passed."""
        duration = len(chunk.samples) / SAMPLE_RATE
        implied = chunk.arrival - self.position / SAMPLE_RATE - duration
        if self._origin is None:
            self._origin = implied
        if implied < self._origin:
            # A chunk cannot be early: the chunks that set the origin were late.
            self._origin = implied
        self._recent.append((chunk.arrival, implied))
        while self._recent[0][0] < chunk.arrival - WINDOW:
            self._recent.popleft()

        gap = self._gap(implied - self._origin, chunk, reopened)
        if gap <= 0:
            self._follow_drift(duration)
            return 0
        self._recent.clear()
        self._late_since = None
        return round(gap * SAMPLE_RATE)

    def _gap(self, late: float, chunk: Chunk, reopened: bool) -> float:
        """Return the seconds of audio that are missing, given the lateness of this chunk; 0 for none."""
        if late <= SURE_LOSS:
            self._late_since = None
        elif self._late_since is None:
            self._late_since = chunk.arrival
        if reopened or (chunk.overflowed and late > FLAGGED_TOLERANCE):
            return late
        if self._late_since is not None and chunk.arrival - self._late_since > CATCH_UP:
            return late
        least = self._least_late()
        spans_window = chunk.arrival - self._recent[0][0] > 0.9 * WINDOW
        return least if spans_window and least > SILENT_TOLERANCE else 0.0

    def _least_late(self) -> float:
        """Return the lateness in seconds of the most punctual recent chunk."""
        assert self._origin is not None
        return min(implied for _, implied in self._recent) - self._origin

    def _follow_drift(self, duration: float) -> None:
        """Move the origin for a device whose clock is slower than the machine's."""
        assert self._origin is not None
        self._origin += min(max(self._least_late(), 0.0), DRIFT * duration)
