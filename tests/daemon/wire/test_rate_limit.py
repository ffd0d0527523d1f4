"""How many requests are allowed, at once and per second."""

from __future__ import annotations

from ser_daemon.wire.rate_limit import LeakyBucket


def fill(bucket: LeakyBucket, now: float) -> int:
    """Make requests until one must wait; return how many were allowed."""
    count = 0
    while not bucket.is_full(now):
        bucket.add()
        count += 1
    return count


def test_a_burst_is_allowed_at_once():
    assert fill(LeakyBucket(size=32, rate=250), now=1000.0) == 32


def test_then_the_rate_decides():
    bucket = LeakyBucket(size=32, rate=250)
    fill(bucket, now=1000.0)
    assert fill(bucket, now=1000.0) == 0
    assert fill(bucket, now=1000.02) == 5
    assert fill(bucket, now=2000.0) == 32
