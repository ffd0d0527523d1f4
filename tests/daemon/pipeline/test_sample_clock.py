"""The sample clock, driven with scripted arrivals."""

from __future__ import annotations

import random

import numpy as np
import pytest

from ser_daemon.pipeline.sample_clock import SampleClock
from ser_daemon.sources.base import Chunk

RATE = 16_000
BLOCK = 1_600


def chunk(arrival: float, overflowed: bool = False, n: int = BLOCK) -> Chunk:
    return Chunk(np.zeros(n, np.int16), arrival, overflowed)


def play(clock: SampleClock, seconds: float, begin: float, late: float = 0.0, seed: int = 0) -> float:
    """Feed a healthy live stream from boot time `begin` on; return the boot time after it."""
    generator = random.Random(seed)
    for i in range(round(seconds * 10)):
        jitter = generator.uniform(0, late)
        assert clock.place(chunk(begin + (i + 1) * 0.1 + jitter), live=True).lost == 0
    return begin + seconds


def test_positions_of_a_healthy_stream_are_a_count_of_its_samples() -> None:
    clock = SampleClock()
    play(clock, 60, begin=1000.0, late=0.09)
    assert clock.position == 60 * RATE


@pytest.mark.parametrize("ppm", [-300, -50, 50, 300])
def test_a_device_with_a_slightly_wrong_clock_loses_nothing(ppm: int) -> None:
    clock = SampleClock()
    step = 0.1 * (1 + ppm / 1e6)
    blocks = [clock.place(chunk(1000 + i * step), live=True) for i in range(36_000)]
    assert clock.position == 36_000 * BLOCK
    assert all(block.lost == 0 for block in blocks)


def test_an_overflow_inserts_the_time_that_is_missing() -> None:
    clock = SampleClock()
    end = play(clock, 5, begin=1000.0)
    block = clock.place(chunk(end + 0.7 + 0.1, overflowed=True), live=True)
    assert block.lost == pytest.approx(0.7 * RATE, abs=1)
    assert block.start == pytest.approx(5.7 * RATE, abs=1)
    assert clock.position == block.end


def test_an_overflow_report_without_a_loss_inserts_nothing() -> None:
    clock = SampleClock()
    end = play(clock, 5, begin=1000.0)
    assert clock.place(chunk(end + 0.15, overflowed=True), live=True).lost == 0


def test_a_reader_that_stalls_and_catches_up_loses_nothing() -> None:
    clock = SampleClock()
    end = play(clock, 5, begin=1000.0)
    for i in range(8):  # 0.8 s of audio waited in the device's buffer and comes at once
        assert clock.place(chunk(end + 0.9 + i * 0.001), live=True).lost == 0
    play(clock, 5, begin=end + 0.8)
    assert clock.position == pytest.approx(10.8 * RATE, abs=1)


def test_a_stream_that_stays_late_has_lost_samples_though_it_reports_nothing() -> None:
    clock = SampleClock()
    end = play(clock, 5, begin=1000.0)
    lost = [clock.place(chunk(end + 0.4 + (i + 1) * 0.1), live=True).lost for i in range(30)]
    assert sum(lost) == pytest.approx(0.4 * RATE, abs=160)
    assert clock.position == pytest.approx(8.4 * RATE, abs=160)


def test_a_suspend_is_inserted_as_soon_as_no_audio_from_before_can_be_waiting() -> None:
    clock = SampleClock()
    end = play(clock, 5, begin=1000.0)
    blocks = [clock.place(chunk(end + 3600 + (i + 1) * 0.1), live=True) for i in range(5)]
    assert [block.lost for block in blocks] == [0, 0, 0, 0, pytest.approx(3600 * RATE, abs=10)]
    assert blocks[-1].start == pytest.approx(3605.4 * RATE, abs=10)


@pytest.mark.parametrize("kept", [2.2, 1.0])
def test_what_a_sound_server_kept_for_a_stopped_reader_is_not_inserted_as_well(kept: float) -> None:
    clock = SampleClock()
    end = play(clock, 5, begin=1000.0)
    for i in range(round(kept * 10)):
        assert clock.place(chunk(end + 2.2 + i * 0.001), live=True).lost == 0
    for i in range(30):
        clock.place(chunk(end + 2.3 + i * 0.1), live=True)
    assert clock.position == pytest.approx(10.2 * RATE, abs=160)
    assert clock.lost == pytest.approx((2.2 - kept) * RATE, abs=160)


@pytest.mark.parametrize("away", [0.05, 0.5, 30.0])
def test_after_reopening_the_clock_shows_the_time_that_passed(away: float) -> None:
    clock = SampleClock()
    end = play(clock, 5, begin=1000.0)
    block = clock.place(chunk(end + away + 0.1), live=True, reopened=True)
    assert block.start == pytest.approx((5 + away) * RATE, abs=2)
    assert block.lost == clock.lost


def test_positions_never_go_back_even_if_a_device_delivers_faster_than_time_passes() -> None:
    clock = SampleClock()
    positions = [clock.place(chunk(1000 + i * 0.01), live=True).start for i in range(100)]
    assert positions == [i * BLOCK for i in range(100)]


@pytest.mark.parametrize("pace", [0.0, 0.1, 5.0])
def test_a_file_only_counts_its_samples_however_fast_it_is_read(pace: float) -> None:
    clock = SampleClock()
    starts = [clock.place(chunk(1000 + i * pace), live=False).start for i in range(50)]
    assert starts == [i * BLOCK for i in range(50)]


def test_the_origin_is_the_boot_time_of_position_zero() -> None:
    live, file = SampleClock(), SampleClock()
    play(live, 5, begin=1000.0, late=0.05)
    file.place(chunk(2000.1), live=False)
    assert live.origin == pytest.approx(1000.0, abs=0.02)
    assert file.origin == pytest.approx(2000.0)


def test_it_knows_when_a_sample_arrived() -> None:
    clock = SampleClock()
    for i in range(3):
        clock.place(chunk(1000.1 + i * 0.1), live=False)
    assert clock.arrival_of(1) == clock.arrival_of(BLOCK) == pytest.approx(1000.1)
    assert clock.arrival_of(BLOCK + 1) == pytest.approx(1000.2)
    assert clock.arrival_of(3 * BLOCK + 1) is None
