"""When the next attempt is due."""

from __future__ import annotations

from ser_daemon.backoff import Backoff


def test_the_first_attempt_is_due_at_once():
    assert Backoff(0.5, 30.0).wait(now=0.0) <= 0


def test_the_delay_doubles_with_every_failure_up_to_the_longest():
    backoff = Backoff(0.5, 3.0)
    assert [backoff.failed(now=100.0) for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert backoff.failures == 5
    assert backoff.wait(now=101.0) == 2.0


def test_after_a_success_the_delays_start_again():
    backoff = Backoff(0.5, 30.0)
    for _ in range(4):
        backoff.failed(now=0.0)
    backoff.reset()
    assert backoff.wait(now=0.0) <= 0
    assert (backoff.failures, backoff.failed(now=0.0)) == (0, 0.5)


def test_after_a_change_the_next_attempt_is_due_now_and_the_one_after_it_soon():
    backoff = Backoff(0.5, 30.0)
    for _ in range(4):
        backoff.failed(now=0.0)
    backoff.hurry()
    assert backoff.wait(now=0.0) <= 0
    assert backoff.failed(now=0.0) == 1.0
