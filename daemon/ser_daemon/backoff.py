"""When a device that failed is tried again."""

from __future__ import annotations

import math

FIRST, LAST = 0.5, 30.0
"""Seconds until the next attempt: doubling from the first to the last."""


class Backoff:
    """Waits longer after every failure in a row."""

    def __init__(self) -> None:
        self.failures = 0
        """Failures in a row."""
        self._due = -math.inf

    def failed(self, now: float) -> float:
        """Note a failure; return the seconds until the next attempt."""
        delay = min(FIRST * 2.0**self.failures, LAST)
        self.failures += 1
        self._due = now + delay
        return delay

    def reset(self) -> None:
        """Forget all failures; the next attempt is due now."""
        self.failures = 0
        self._due = -math.inf

    def hurry(self) -> None:
        """Something has changed: the next attempt is due now, and the one after it soon."""
        self.failures = min(self.failures, 1)
        self._due = -math.inf

    def wait(self, now: float) -> float:
        """Seconds until the next attempt is due; not above 0 when it is."""
        return self._due - now
