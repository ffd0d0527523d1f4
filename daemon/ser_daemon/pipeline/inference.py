"""The inference thread: it turns gated speech into wire events, and sleeps while nobody speaks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ser_daemon.adaptation.session import AdaptationSession
from ser_daemon.pipeline.mailbox import Call
from ser_daemon.pipeline.speech_queue import SpeechQueue
from ser_daemon.pipeline.wire_events import event_from_result, utterance_id
from ser_daemon.sources.base import boot_time
from ser_daemon.wire.events import AudioState, Event
from ser_model.types import EmotionResult, GateEvent, Result, SpeechEnded

ALLOWANCE = 10.0
"""Seconds that one item may take: thousands of times its usual time."""


class SpeechAnalyzer(Protocol):
    """The part of `ser_model.recognizer.Analyzer` that the inference thread uses."""

    def push(self, event: GateEvent) -> Sequence[Result]:
        """Process a gate event; return the results that follow from it."""


class Clock(Protocol):
    """The part of `ser_daemon.pipeline.sample_clock.SampleClock` that is read from this thread."""

    @property
    def origin(self) -> float | None:
        """Boot time in seconds of position 0; None before the first sample."""

    def arrival_of(self, position: int) -> float | None:
        """Boot time in seconds at which the sample before `position` was available; None: no longer known."""


@dataclass(frozen=True, slots=True)
class Recognition:
    """An analyzer with the adaptation that it updates. A reload replaces both together."""

    analyzer: SpeechAnalyzer
    adaptation: AdaptationSession


class Inference:
    """Reads the speech queue and emits wire events in queue order: results and audio states."""

    def __init__(
        self,
        queue: SpeechQueue,
        recognition: Recognition,
        clock: Clock,
        emit: Callable[[Event], None],
        now: Callable[[], float] = boot_time,
    ) -> None:
        """Prepare the loop; `run` is the thread.

        Args:
            queue: gate events, audio states and calls.
            recognition: owned by this thread from here on.
            clock: places results in time.
            emit: takes the events.
            now: boot time in seconds.
        """
        self.progress = 0
        """Number of items processed."""
        self._working = False
        self._queue = queue
        self.recognition = recognition
        """Replaced by the inference thread only."""
        self._clock = clock
        self._emit = emit
        self._now = now

    @property
    def allowance(self) -> float:
        """Seconds that the present item may take, for the supervisor; infinite while the queue is empty."""
        return ALLOWANCE if self._working else math.inf

    def run(self) -> None:
        """Process items until the queue is closed and empty."""
        while (entry := self._queue.get()) is not None:
            item, arrival = entry
            self.progress += 1
            self._working = True
            match item:
                case AudioState():
                    self._emit(item)
                case Call():
                    item.run()
                case _:
                    self._analyze(item, arrival)
            self._working = False
        self.recognition.adaptation.store()

    def use(self, recognition: Recognition) -> None:
        """Replace analyzer and adaptation between two utterances; runs on the inference thread only."""
        self.recognition = recognition

    def _analyze(self, event: GateEvent, arrival: float) -> None:
        for result in self.recognition.analyzer.push(event):
            latency_ms = self._latency(result, arrival) * 1000
            self._emit(event_from_result(result, origin=self._origin(), latency_ms=latency_ms))
            if isinstance(result, EmotionResult) and result.final:
                self.recognition.adaptation.heard(utterance_id(result.utterance), result)
        if isinstance(event, SpeechEnded):
            self.recognition.adaptation.utterance_ended()

    def _latency(self, result: Result, arrival: float) -> float:
        """Seconds since the last sample that the result depends on was available."""
        used = self._clock.arrival_of(result.end) if isinstance(result, EmotionResult) else None
        return self._now() - (arrival if used is None else used)

    def _origin(self) -> float:
        """Unix time in seconds of the sample clock's zero."""
        return time.time() - boot_time() + (self._clock.origin or 0.0)
