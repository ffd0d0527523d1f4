"""A limit on how many requests a client gets served."""

from __future__ import annotations


class LeakyBucket:
    """Allows a burst of requests, and a steady rate in the long run.

    Source: the leaky bucket as a meter, ITU-T I.371.
    """

    def __init__(self, size: int, rate: float) -> None:
        """Start empty.

        Args:
            size: requests allowed at once.
            rate: requests per second that leak out of the bucket.
        """
        self._size = size
        self._rate = rate
        self._level = 0.0
        self._updated = 0.0

    def is_full(self, now: float) -> bool:
        """Whether the next request must wait; `now` is a monotonic clock in seconds."""
        self._level = max(0.0, self._level - (now - self._updated) * self._rate)
        self._updated = now
        return self._level >= self._size

    def add(self) -> None:
        """Count a request."""
        self._level += 1
