"""Watches the threads, so that none dies or hangs unnoticed."""

from __future__ import annotations

import logging
import math
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Protocol

log = logging.getLogger(__name__)

TICK = 0.5
"""Seconds between two checks."""


class Worker(threading.Thread):
    """A thread that reports its end, with the error that caused it."""

    def __init__(self, name: str, target: Callable[[], None], ended: Callable[[Worker], None]) -> None:
        # Daemonic: one that hangs inside a sound library's C code must not keep the process from ending.
        super().__init__(name=name, daemon=True)
        self.error: BaseException | None = None
        """The exception that ended the thread; None where it returned."""
        self._work = target
        self._ended = ended

    def run(self) -> None:
        """Run the target; never raises, so that the end is always reported."""
        try:
            self._work()
        except BaseException as error:
            # Not swallowed: the receiver of `ended` reads it and ends the process.
            self.error = error
        finally:
            self._ended(self)

    def stack(self) -> str:
        """Return the thread's current stack, for the log."""
        frame = sys._current_frames().get(self.ident or 0)
        return "".join(traceback.format_stack(frame)) if frame else "(no stack)"


class Watched(Protocol):
    """A loop that counts its rounds, and says how long the present one may take."""

    @property
    def progress(self) -> int:
        """Grows with every round."""

    @property
    def allowance(self) -> float:
        """Seconds that the present round may take; infinite where it may take forever."""


class StallDetector:
    """Detects a loop whose round takes longer than it may.

    Only the time in which the detector itself was running counts: after a suspend or SIGSTOP every clock has jumped,
    but the loop had no chance to run.
    """

    def __init__(self, watched: Watched) -> None:
        self.stalled = False
        """The present round takes longer than it may."""
        self.patient = False
        """The present round may take forever."""
        self.waited = 0.0
        """Seconds of the present round that count."""
        self._watched = watched
        self._progress = watched.progress
        self._checked: float | None = None

    def check(self, now: float) -> bool:
        """Check the loop; return whether it has finished a round since the last check."""
        elapsed = 0.0 if self._checked is None else min(now - self._checked, 2 * TICK)
        self._checked = now
        # The allowance first: a loop counts a round before it begins the next one, which may have another allowance.
        allowance = self._watched.allowance
        progress = self._watched.progress
        came_round, self._progress = progress != self._progress, progress
        self.patient = math.isinf(allowance)
        self.waited = 0.0 if came_round or self.patient else self.waited + elapsed
        self.stalled = self.waited > allowance
        return came_round


class Supervisor:
    """Checks the loops every `TICK`, and feeds the watchdog as long as all is well."""

    def __init__(
        self,
        loops: Sequence[tuple[Worker, Watched]],
        *,
        alive: Callable[[], None],
        stuck: Callable[[str], None],
    ) -> None:
        """Watch loops.

        Args:
            loops: the threads and their counters; the first is the capture loop.
            alive: called at a check when the capture loop has finished a round, or may take forever.
            stuck: called once, with a sentence, when a loop hangs.
        """
        self._loops = [(worker, StallDetector(watched)) for worker, watched in loops]
        self._alive = alive
        self._stuck = stuck
        self._reported = False

    @property
    def waited(self) -> float:
        """Seconds that the capture loop's present round has taken so far."""
        return self._loops[0][1].waited

    def check(self, now: float) -> None:
        """Check once.

        Args:
            now: seconds on a monotonic clock.
        """
        came_round = [detector.check(now) for _, detector in self._loops]
        for worker, detector in self._loops:
            if detector.stalled and not self._reported:
                self._reported = True
                log.error("The %s thread hangs; this is where:\n%s", worker.name, worker.stack())
                self._stuck(f"The {worker.name} thread does not come round any more.")
        if not self._reported and (came_round[0] or self._loops[0][1].patient):
            self._alive()
