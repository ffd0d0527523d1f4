"""The sample clock: one position for every sample, held to the machine's boot-time clock."""

from __future__ import annotations

from collections import deque

from ser_daemon.sources.base import Chunk
from ser_model.types import SAMPLE_RATE, Block

FLAGGED_TOLERANCE = 0.100
"""Seconds a chunk may be late, after the device reported an overflow, before samples count as lost.
Sound servers hand out audio in fragments, so a healthy stream's chunks are late by up to a fragment."""

SILENT_TOLERANCE = 0.250
"""Seconds a stream may stay late, unreported, before samples count as lost."""

WINDOW = 1.0
"""Seconds over which the least lateness is taken: a stalled reader catches up within it, a gap stays."""

SURE_LOSS = 1.0
"""Seconds of lateness that are a loss (suspend, a machine that stood still) as soon as no more audio is waiting.
Not before: a sound server keeps seconds of it for a reader that was stopped, and gives them out at once."""

CATCH_UP = 0.3
"""Seconds within which a reader has taken what was kept for it, however much."""

DRIFT = 0.0005
"""Greatest relative drift of a device's clock that is followed instead of counted as a loss (500 ppm)."""

REMEMBERED = 512
"""Blocks whose arrival is remembered: at 10 ms each still as long as the longest hangover."""


class SampleClock:
    """Gives every chunk of a source its position; one per process, it never goes back and is never reset.

    A live source is compared with the boot-time clock: what is missing after an overflow, a reopening, a
    mute or a suspend is inserted as `Block.lost`. A source that ends (file, stdin) only counts samples, so
    that positions are the same whether it is read in real time or faster.
    """

    def __init__(self) -> None:
        self.position = 0
        """Position of the next sample."""
        self.lost = 0
        """Samples inserted so far, in all."""
        self._origin: float | None = None
        self._arrivals: deque[tuple[int, float]] = deque(maxlen=REMEMBERED)
        """(position after the last sample, arrival) of the latest blocks."""
        self._late_since: float | None = None
        """Arrival of the first of the chunks in a row that were late enough for a sure loss."""
        self._recent: deque[tuple[float, float]] = deque()
        """(arrival, origin as that chunk alone would have it) of the last `WINDOW` seconds."""

    @property
    def origin(self) -> float | None:
        """Boot time in seconds of position 0, as the most punctual chunks tell it; None before the first."""
        return self._origin

    def place(self, chunk: Chunk, *, live: bool, reopened: bool = False) -> Block:
        """Turn a chunk into a block.

        Args:
            chunk: what the source gave.
            live: the source is a device (see the class).
            reopened: the source was opened anew before this chunk, so time certainly went missing.
        """
        missing = self._missing(chunk, reopened) if live else self._count(chunk)
        start = self.position + missing
        self.position = start + len(chunk.samples)
        self.lost += missing
        self._arrivals.append((self.position, chunk.arrival))
        return Block(samples=chunk.samples, start=start, arrival=chunk.arrival, lost=missing)

    def arrival_of(self, position: int) -> float | None:
        """When the sample before `position` was available; None where that is not known any more.

        May be called from another thread.
        """
        # A copy is taken in one step, whatever the capture thread appends meanwhile.
        for end, arrival in tuple(self._arrivals):
            if end >= position:
                return arrival
        return None

    def _count(self, chunk: Chunk) -> int:
        """Note when a source that ends began; nothing of it is ever missing."""
        if self._origin is None:
            self._origin = chunk.arrival - (self.position + len(chunk.samples)) / SAMPLE_RATE
        return 0

    def _missing(self, chunk: Chunk, reopened: bool) -> int:
        """Samples that time says must have come before this chunk, and did not."""
        duration = len(chunk.samples) / SAMPLE_RATE
        told = chunk.arrival - self.position / SAMPLE_RATE - duration
        if self._origin is None:
            self._origin = told
        if told < self._origin:
            # A chunk cannot be early: the chunks that set the origin were late.
            self._origin = told
        self._recent.append((chunk.arrival, told))
        while self._recent[0][0] < chunk.arrival - WINDOW:
            self._recent.popleft()

        gap = self._gap(told - self._origin, chunk, reopened)
        if gap <= 0:
            self._follow_drift(duration)
            return 0
        self._recent.clear()
        self._late_since = None
        return round(gap * SAMPLE_RATE)

    def _gap(self, late: float, chunk: Chunk, reopened: bool) -> float:
        """Seconds of audio that are missing, given how late this chunk is; 0 where none are."""
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
        """Lateness in seconds of the most punctual of the recent chunks."""
        assert self._origin is not None
        return min(told for _, told in self._recent) - self._origin

    def _follow_drift(self, duration: float) -> None:
        """Let the origin follow a device whose clock is slower than the machine's."""
        assert self._origin is not None
        self._origin += min(max(self._least_late(), 0.0), DRIFT * duration)
