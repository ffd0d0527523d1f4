"""Writes to a terminal or pipe on a thread of its own: Ctrl-S, or a reader that stops, blocks nothing else."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

QUEUE_SIZE = 256
"""Items that may wait. A view gets a few a second, so that this is a minute or more."""

RECORDING_QUEUE_SIZE = 65_536
"""The same for a recording, which may be read faster than its results are: those of about seven hours."""


class OutputThread(Generic[T]):
    """Passes items to a function that may block, in order, on a daemonic thread.

    The queue is bounded: where it is full, the oldest item is dropped and counted, so that the newest state wins.
    """

    def __init__(self, name: str, write: Callable[[T, int], None], size: int = QUEUE_SIZE) -> None:
        """Start the thread.

        Args:
            name: of the thread.
            write: gets an item, and the number of items that were dropped directly before it. It must not raise.
            size: items that may wait.
        """
        self.dropped = 0
        """Items dropped so far."""
        self._write = write
        self._size = size
        self._items: deque[T] = deque()
        self.idle = True
        """Everything that was queued is written."""
        self._lost = 0
        """Items dropped since the last one that was written."""
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        """Queue an item; never waits for the output."""
        with self._changed:
            if len(self._items) >= self._size:
                self._items.popleft()
                self._lost += 1
                self.dropped += 1
            self._items.append(item)
            self.idle = False
            self._changed.notify()

    def close(self, seconds: float) -> bool:
        """End the thread when all items are written; return whether that happened within `seconds`."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._closed)
                if not self._items:
                    return
                item = self._items.popleft()
                lost, self._lost = self._lost, 0
            self._write(item, lost)
            with self._changed:
                self.idle = not self._items
