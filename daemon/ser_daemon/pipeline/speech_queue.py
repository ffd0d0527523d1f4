"""The queue from the capture thread to the inference thread, bounded in samples."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ser_model.types import SAMPLE_RATE, GateEvent, Result, SpeechAudio

CAPACITY = 10 * SAMPLE_RATE
"""Samples that may wait: ten seconds, hundreds of times what a healthy machine ever lets pile up."""


@dataclass(frozen=True, slots=True)
class AudioStatus:
    """What the capture thread has to say about its source."""

    state: str
    """One of `starting listening muted held no-device silent degraded stopping`."""
    device: str
    reason: str | None = None
    retry_in_ms: int | None = None
    position: int | None = field(default=None, compare=False)
    """Where the sample clock was; None before the first sample."""


class SpeechAnalyzer(Protocol):
    """What the inference loop needs of `ser_model.recognizer.Analyzer`."""

    def push(self, event: GateEvent) -> Sequence[Result]:
        """Take what the gate said; return what can be said about it."""


@dataclass(frozen=True, slots=True)
class UseAnalyzer:
    """From here on, utterances are judged by another analyzer (the configuration was reloaded)."""

    analyzer: SpeechAnalyzer


@dataclass(frozen=True, slots=True, eq=False)
class Errand:
    """Something for the inference thread to do between what was said before and after; it must not raise."""

    action: Callable[[], None]


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """Comes out at the other end when all that was put in before it has."""


Item = GateEvent | AudioStatus | UseAnalyzer | Errand | Mark


class SpeechQueue:
    """First in, first out; what a slow reader costs is the oldest waiting audio, never a start or an end.

    States travel in the same queue, so that the final of an utterance which a mute ended goes out before
    the state `muted` does.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._items: deque[tuple[Item, float]] = deque()
        self._waiting = 0
        self._closed = False
        self._changed = threading.Condition()
        self.dropped = 0
        """Samples dropped so far, in all."""

    @property
    def waiting(self) -> int:
        """Samples in the queue."""
        return self._waiting

    def put(self, *items: Item, arrival: float, wait: bool = False) -> None:
        """Append items that arose together; the reader is woken once for all of them.

        Args:
            items: what happened, in order; audio counts towards the capacity.
            arrival: boot-time clock in seconds at which the audio behind them was available.
            wait: True for a source that can be read slower (a file): wait for room instead of dropping.
        """
        size = sum(map(_samples, items))
        with self._changed:
            if wait and size:
                self._changed.wait_for(
                    lambda: self._closed or not self._waiting or self._waiting + size <= self._capacity
                )
            self._items.extend((item, arrival) for item in items)
            self._waiting += size
            if not wait:
                self._drop_oldest()
            self._changed.notify_all()

    def _drop_oldest(self) -> None:
        """Drop audio from the front until the rest fits; the newest audio stays in any case."""
        kept: deque[tuple[Item, float]] = deque()
        while self._waiting > self._capacity and len(self._items) > 1:
            entry = self._items.popleft()
            size = _samples(entry[0])
            if size:
                self._waiting -= size
                self.dropped += size
            else:
                kept.append(entry)
        self._items.extendleft(reversed(kept))

    def get(self) -> tuple[Item, float] | None:
        """The next item and its arrival; waits for one; None when the queue is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed)
            if not self._items:
                return None
            item, arrival = self._items.popleft()
            self._waiting -= _samples(item)
            self._changed.notify_all()
            return item, arrival

    def close(self) -> None:
        """Say that nothing will follow; what waits is still given out."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def _samples(item: Item) -> int:
    return len(item.samples) if isinstance(item, SpeechAudio) else 0
