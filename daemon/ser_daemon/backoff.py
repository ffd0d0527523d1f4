"""Exponential backoff: the time between attempts to open a device or to connect. Needs only the standard library."""

from __future__ import annotations

import math


class Backoff:
    """Doubles the delay after every failure in a row."""

    def __init__(self, first: float, longest: float) -> None:
        """Start without a failure; the first attempt is due at once.

        Args:
            first: seconds to wait after the first failure.
            longest: the delay in seconds is never longer.
        """
        self.failures = 0
        """Failures in a row."""
        self._first = first
        self._longest = longest
        self._due = -math.inf

    def failed(self, now: float) -> float:
        """Count a failure; return the seconds until the next attempt. `now` is a monotonic clock in seconds."""
        delay = min(self._first * 2.0**self.failures, self._longest)
        self.failures += 1
        self._due = now + delay
        return delay

    def reset(self) -> None:
        """Forget all failures; the next attempt is due now."""
        self.failures = 0
        self._due = -math.inf

    def hurry(self) -> None:
        """Make the next attempt due now, and start again from short delays: something has changed."""
        self.failures = min(self.failures, 1)
        self._due = -math.inf

    def wait(self, now: float) -> float:
        """Return the seconds until the next attempt; 0 or less when it is due."""
        return self._due - now
