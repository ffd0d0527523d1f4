"""Nothing dies or hangs unnoticed, and nothing healthy is taken for hanging."""

from __future__ import annotations

import math
import threading

import pytest

from ser_daemon.service.supervisor import TICK, StallDetector, Supervisor, Worker


class Loop:
    """A loop whose rounds the test turns."""

    def __init__(self, allowance: float = 2.0) -> None:
        self.progress = 0
        self.allowance = allowance


def checks(detector: StallDetector, begin: float, seconds: float) -> list[bool]:
    """Check every tick; whether it was stalled at each check."""
    stalled = []
    for i in range(round(seconds / TICK)):
        detector.check(begin + i * TICK)
        stalled.append(detector.stalled)
    return stalled


def test_a_loop_that_does_not_come_round_is_stalled_after_its_allowance() -> None:
    stalled = checks(StallDetector(Loop(2.0)), 100.0, 4.0)
    assert stalled == [False] * 5 + [True] * 3


def test_a_loop_that_comes_round_is_never_stalled() -> None:
    loop = Loop(0.6)
    detector = StallDetector(loop)
    for i in range(100):
        loop.progress += 1
        assert detector.check(i * TICK)
        assert not detector.stalled


@pytest.mark.parametrize("jump", [10.0, 3600.0])
def test_time_in_which_nobody_ran_counts_for_nobody(jump: float) -> None:
    detector = StallDetector(Loop(2.0))
    detector.check(0.0)
    detector.check(jump)  # the whole process was stopped, or the machine slept
    assert not detector.stalled


def test_a_long_wait_that_was_allowed_does_not_count_against_the_next_round() -> None:
    loop = Loop(math.inf)
    detector = StallDetector(loop)
    checks(detector, 0.0, 60.0)
    loop.allowance = 2.0
    detector.check(60.0)
    assert not detector.stalled


def supervisor(*loops: Loop) -> tuple[Supervisor, list[str]]:
    reported: list[str] = []
    workers = [Worker(f"loop {i}", lambda: None, lambda worker: None) for i, _ in enumerate(loops)]
    pairs = list(zip(workers, loops, strict=True))
    return Supervisor(pairs, alive=lambda: reported.append("alive"), stuck=reported.append), reported


def test_the_watchdog_is_fed_only_when_the_capture_loop_came_round() -> None:
    capture, inference = Loop(60.0), Loop(math.inf)
    watcher, reported = supervisor(capture, inference)
    watcher.check(0.0)
    capture.progress += 1
    watcher.check(0.5)
    watcher.check(1.0)
    assert reported == ["alive"]


def test_a_source_that_may_be_silent_forever_feeds_the_watchdog() -> None:
    watcher, reported = supervisor(Loop(math.inf), Loop(math.inf))
    watcher.check(0.0)
    watcher.check(0.5)
    assert reported == ["alive", "alive"]


def test_a_hanging_loop_is_reported_once_and_the_watchdog_starves() -> None:
    capture, inference = Loop(2.0), Loop(2.0)
    watcher, reported = supervisor(capture, inference)
    for i in range(20):
        capture.progress += 1
        watcher.check(i * TICK)
    assert reported[:5] == ["alive"] * 5
    assert [line for line in reported if line != "alive"] == ["The loop 1 thread does not come round any more."]
    assert reported[-1] != "alive"


def test_a_worker_tells_that_it_ended_and_why() -> None:
    ended = threading.Event()
    workers: list[Worker] = []

    def fail() -> None:
        raise OSError("a bug")

    def tell(worker: Worker) -> None:
        workers.append(worker)
        ended.set()

    worker = Worker("capture", fail, tell)
    worker.start()
    assert ended.wait(5)
    assert workers == [worker]
    assert isinstance(worker.error, OSError)


def test_the_stack_of_a_hanging_worker_shows_where_it_is() -> None:
    release, inside = threading.Event(), threading.Event()

    def hang_in_here() -> None:
        inside.set()
        release.wait(10)

    worker = Worker("capture", hang_in_here, lambda worker: None)
    worker.start()
    assert inside.wait(5)
    assert "hang_in_here" in worker.stack()
    release.set()
    worker.join(5)
