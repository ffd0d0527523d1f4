"""Watches the threads: none may die unnoticed, none may hang unnoticed."""

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
"""Seconds between two looks."""


class Worker(threading.Thread):
    """A thread that tells when it ends, and why."""

    def __init__(self, name: str, target: Callable[[], None], ended: Callable[[Worker], None]) -> None:
        # Daemonic: one that hangs inside a sound library's C code must not keep the process from ending.
        super().__init__(name=name, daemon=True)
        self.error: BaseException | None = None
        """What ended the thread, if it did not end by itself."""
        self._work = target
        self._ended = ended

    def run(self) -> None:
        """Do the work; never raises, so that the end is always reported."""
        try:
            self._work()
        except BaseException as error:
            # Not swallowed: whoever is told of the end reads it and ends the process.
            self.error = error
        finally:
            self._ended(self)

    def stack(self) -> str:
        """Where the thread is now, for the log."""
        frame = sys._current_frames().get(self.ident or 0)
        return "".join(traceback.format_stack(frame)) if frame else "(no stack)"


class Watched(Protocol):
    """A loop that counts its rounds."""

    @property
    def progress(self) -> int:
        """Grows with every round."""

    @property
    def allowance(self) -> float:
        """Seconds that the present round may take; infinite where it may take forever."""


class StallDetector:
    """Says when a loop has not come round in time.

    Only time in which the detector itself was looking counts: after a suspend or SIGSTOP, when every clock
    has jumped and the loop had no chance to run, nothing is stalled.
    """

    def __init__(self, watched: Watched) -> None:
        self.stalled = False
        """The present round takes longer than it may."""
        self.patient = False
        """The present round may take forever."""
        self.waited = 0.0
        """Seconds that the present round has taken so far, as far as they count."""
        self._watched = watched
        self._progress = watched.progress
        self._looked: float | None = None

    def look(self, now: float) -> bool:
        """Look at the loop; True when it came round since the last look."""
        elapsed = 0.0 if self._looked is None else min(now - self._looked, 2 * TICK)
        self._looked = now
        # The allowance first: a loop counts a round before it begins one with another allowance.
        allowance = self._watched.allowance
        progress = self._watched.progress
        came_round, self._progress = progress != self._progress, progress
        self.patient = math.isinf(allowance)
        self.waited = 0.0 if came_round or self.patient else self.waited + elapsed
        self.stalled = self.waited > allowance
        return came_round


class Supervisor:
    """Looks at the loops every `TICK`; feeds the watchdog as long as all is well."""

    def __init__(
        self,
        loops: Sequence[tuple[Worker, Watched]],
        *,
        alive: Callable[[], None],
        stuck: Callable[[str], None],
    ) -> None:
        """Watch over loops.

        Args:
            loops: the threads and their counters; the first is the capture loop.
            alive: called at a look when the capture loop has come round (or may take forever).
            stuck: called once, with a sentence, when a loop hangs.
        """
        self._loops = [(worker, StallDetector(watched)) for worker, watched in loops]
        self._alive = alive
        self._stuck = stuck
        self._told = False

    @property
    def waited(self) -> float:
        """Seconds that the capture loop's present round has taken so far."""
        return self._loops[0][1].waited

    def look(self, now: float) -> None:
        """Look once.

        Args:
            now: seconds on any clock that never goes back.
        """
        came_round = [detector.look(now) for _, detector in self._loops]
        for worker, detector in self._loops:
            if detector.stalled and not self._told:
                self._told = True
                log.error("The %s thread hangs; this is where:\n%s", worker.name, worker.stack())
                self._stuck(f"The {worker.name} thread does not come round any more.")
        if not self._told and (came_round[0] or self._loops[0][1].patient):
            self._alive()
