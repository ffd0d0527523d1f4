"""A limit on how many requests a client gets served."""

from __future__ import annotations

import math


class LeakyBucket:
    """Allows a burst of requests, and a steady rate in the long run.

    Source: the leaky bucket as a meter, ITU-T I.371.
    """

    def __init__(self, size: float, rate: float, level: float = 0.0, most: float = math.inf) -> None:
        """Start.

        Args:
            size: requests allowed at once.
            rate: requests per second that leak out of the bucket.
            level: requests in the bucket.
            most: level above which nothing is counted, so that the wait stays short.
        """
        self._size = size
        self._rate = rate
        self._most = most
        self._level = level
        self._updated: float | None = None

    def level(self, now: float) -> float:
        """Return how much is in the bucket; `now` is a monotonic clock in seconds."""
        if self._updated is not None:
            self._level = max(0.0, self._level - (now - self._updated) * self._rate)
        self._updated = now
        return self._level

    def is_full(self, now: float) -> bool:
        """Whether the next request must wait."""
        return self.level(now) >= self._size

    def hold(self, now: float) -> None:
        """Let nothing leak from the last call until now."""
        self._updated = now

    def wait(self, now: float) -> float:
        """Return the seconds until the bucket is not full."""
        return max(0.0, self.level(now) - self._size) / self._rate

    def add(self, amount: float = 1.0) -> None:
        """Count a request, or several."""
        self._level = min(self._level + amount, self._most)
