"""The queue from the capture thread to the inference thread, bounded in samples."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

from ser_daemon.pipeline.mailbox import Call, ended
from ser_daemon.sources.base import boot_time
from ser_daemon.wire.events import AudioState
from ser_model.types import SAMPLE_RATE, GateEvent, SpeechAudio

CAPACITY = 10 * SAMPLE_RATE
"""Samples that may wait: ten seconds. On a healthy machine less than a hundredth of it waits."""


Item = GateEvent | AudioState | Call
"""What travels through the queue; an `AudioState` has no number yet."""


class SpeechQueue:
    """A FIFO queue. A slow reader loses the oldest waiting audio, never the start or the end of an utterance.

    Audio states travel in the same queue, so that after a mute the final of the open utterance leaves before `muted`.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._items: deque[tuple[Item, float]] = deque()
        self._waiting = 0
        self._closed = False
        self._finished = False
        """The reader has been told that the queue is closed and empty."""
        self._changed = threading.Condition()
        self.dropped = 0
        """Samples dropped so far, in all."""

    @property
    def waiting(self) -> int:
        """Samples in the queue."""
        return self._waiting

    def put(self, *items: Item, arrival: float, wait: bool = False) -> None:
        """Append items that belong together; this wakes the reader once.

        Args:
            items: in order; audio counts towards the capacity.
            arrival: boot time in seconds at which the audio behind them was available.
            wait: wait for room instead of dropping; for a source that can be read slower (a file).
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

    def submit(self, action: Callable[[], None]) -> Future[None]:
        """Queue an action for the inference thread, behind all items that are queued now.

        Returns:
            a future that completes when the action has run; with `SerError` where the thread has ended
        """
        call = Call(action)
        with self._changed:
            if not self._finished:
                self._items.append((call, boot_time()))
                self._changed.notify_all()
                return call.future
        call.fail(ended())
        return call.future

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
        """Wait for the next item; return it with its arrival, or None when the queue is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed)
            if not self._items:
                self._finished = True
                return None
            item, arrival = self._items.popleft()
            self._waiting -= _samples(item)
            self._changed.notify_all()
            return item, arrival

    def close(self) -> None:
        """Announce that no audio follows; `get` still returns what is queued."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def _samples(item: Item) -> int:
    return len(item.samples) if isinstance(item, SpeechAudio) else 0
