"""The inference thread's loop: from gated speech to results, asleep while nobody speaks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from ser_daemon.pipeline.speech_queue import AudioStatus, Errand, Mark, SpeechAnalyzer, SpeechQueue, UseAnalyzer
from ser_daemon.sources.base import boot_time
from ser_model.types import EmotionResult, GateEvent, Result, SpeechEnded

ALLOWANCE = 10.0
"""Seconds that one item may take: thousands of times what it does take."""


@dataclass(frozen=True, slots=True)
class TimedResult:
    """A result and how long it took."""

    result: Result
    latency: float
    """Seconds from the arrival of the last sample judged until the result was there."""


Outcome = TimedResult | AudioStatus | Mark


class Inference:
    """Feeds the analyzer from the speech queue and hands on, in order, results and states."""

    def __init__(
        self,
        queue: SpeechQueue,
        analyzer: SpeechAnalyzer,
        emit: Callable[[Outcome], None],
        *,
        arrival_of: Callable[[int], float | None],
        now: Callable[[], float] = boot_time,
        utterance_ended: Callable[[], None] = lambda: None,
        done: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare to work.

        Args:
            queue: what was heard.
            analyzer: judges it.
            emit: takes results and states.
            arrival_of: boot-time clock at which the sample at a position was available; None: not known any more.
            now: that clock.
            utterance_ended: called after the last result of every utterance.
            done: called once the queue is closed and empty.
        """
        self.progress = 0
        """Grows with every item."""
        self._working = False
        self._queue = queue
        self._analyzer = analyzer
        self._emit = emit
        self._now = now
        self._arrival_of = arrival_of
        self._utterance_ended = utterance_ended
        self._done = done

    @property
    def allowance(self) -> float:
        """Seconds that the present round may take, for the supervisor; waiting for speech is no work."""
        return ALLOWANCE if self._working else math.inf

    def run(self) -> None:
        """Work until the queue is closed and empty."""
        while (entry := self._queue.get()) is not None:
            item, arrival = entry
            self.progress += 1
            self._working = True
            match item:
                case AudioStatus() | Mark():
                    self._emit(item)
                case UseAnalyzer():
                    self._analyzer = item.analyzer
                case Errand():
                    item.action()
                case _:
                    self._analyze(item, arrival)
            self._working = False
        self._done()

    def _analyze(self, event: GateEvent, arrival: float) -> None:
        for result in self._analyzer.push(event):
            came = self._arrival_of(result.end) if isinstance(result, EmotionResult) else None
            self._emit(TimedResult(result, self._now() - (arrival if came is None else came)))
        if isinstance(event, SpeechEnded):
            self._utterance_ended()
