"""The threads that recognise, so that the event loop never waits for the network."""

from __future__ import annotations

import queue
import threading
from typing import Protocol

END_SECONDS = 2.0
"""Longest wait for a thread at the end. A turn takes milliseconds."""


class Job(Protocol):
    """Something that has work for a thread."""

    def take_turn(self) -> bool:
        """Do a bounded piece of work; return whether more is waiting. Must not raise."""


class Workers:
    """A pool of threads that serve jobs in turns, so that a client with much audio delays the others little."""

    def __init__(self, threads: int) -> None:
        """Start the threads."""
        # As many entries at most as there are clients.
        self._ready: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._run, name=f"worker-{number}", daemon=True) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job) -> None:
        """Let a job take turns until it has nothing more to do. It must not be submitted again before."""
        self._ready.put(job)

    def stop(self) -> None:
        """End the threads after the turns that are waiting."""
        for _ in self._threads:
            self._ready.put(None)
        for thread in self._threads:
            thread.join(END_SECONDS)

    def _run(self) -> None:
        while (job := self._ready.get()) is not None:
            if job.take_turn():
                self._ready.put(job)
