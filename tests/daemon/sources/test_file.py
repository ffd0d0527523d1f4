"""A file as a source: the same samples at any pace, and reads on schedule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser_daemon.config.audio import AudioConfig
from ser_daemon.sources import AudioSource, Chunk, file, make_source
from ser_model.audio.files import read_audio
from ser_model.errors import SerError


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """0.35 s of noise, 44.1 kHz stereo."""
    path = tmp_path / "noise.flac"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, (15_435, 2)), 44_100)
    return path


def source(path: Path, **settings: object) -> AudioSource:
    return make_source(AudioConfig(device=f"file:{path}", **settings))


def chunks(opened: AudioSource) -> list[Chunk]:
    return list(iter(opened.read, None))


@pytest.mark.parametrize("read_ms", [1, 30, 100, 5_000])
def test_every_block_size_gives_the_samples_of_the_whole_file(recording: Path, read_ms: int) -> None:
    opened = source(recording, pace="fast", read_ms=read_ms)
    opened.open()
    got = chunks(opened)
    assert np.array_equal(np.concatenate([chunk.samples for chunk in got]), read_audio(recording))
    assert {len(chunk.samples) for chunk in got[:-1]} <= {16 * read_ms}
    assert opened.read() is None
    opened.close()
    opened.close()


def test_a_file_is_not_live_and_is_named_by_its_path(recording: Path) -> None:
    assert source(recording).live is False
    assert source(recording).name == str(recording)


class Clock:
    """A clock that advances only in `sleep`."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(file, "boot_time", lambda: clock.now)
    monkeypatch.setattr(file.time, "sleep", clock.sleep)
    return clock


def test_in_real_time_a_block_is_returned_when_its_last_sample_is_due(recording: Path, clock: Clock) -> None:
    opened = source(recording, read_ms=100)
    opened.open()
    for due in (1_000.1, 1_000.2, 1_000.3, 1_000.35):
        chunk = opened.read()
        assert chunk is not None
        assert chunk.arrival == pytest.approx(due, abs=1e-9)
        assert clock.now == pytest.approx(due, abs=1e-9)
    assert opened.read() is None


def test_a_late_read_does_not_shift_the_schedule(recording: Path, clock: Clock) -> None:
    opened = source(recording, read_ms=100)
    opened.open()
    clock.now += 0.25
    arrivals = [chunk.arrival for chunk in chunks(opened)]
    assert arrivals == pytest.approx([1_000.1, 1_000.2, 1_000.3, 1_000.35])
    assert clock.now == pytest.approx(1_000.35)


def test_fast_does_not_wait(recording: Path, clock: Clock) -> None:
    opened = source(recording, pace="fast")
    opened.open()
    assert {chunk.arrival for chunk in chunks(opened)} == {1_000.0}


def test_opening_again_starts_at_the_beginning(recording: Path) -> None:
    opened = source(recording, pace="fast")
    opened.open()
    first = opened.read()
    opened.close()
    opened.open()
    again = opened.read()
    assert first is not None
    assert again is not None
    assert np.array_equal(first.samples, again.samples)


def test_a_channel_can_be_chosen(tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.array([[0.25, 0.5]] * 10), 16_000)
    for channel, value in ((None, 12_288), (1, 8_192), (2, 16_384)):
        opened = source(path, channel=channel, pace="fast")
        opened.open()
        assert [chunk.samples.tolist() for chunk in chunks(opened)] == [[value] * 10]


def test_a_missing_file_is_an_error_of_open(tmp_path: Path) -> None:
    missing = source(tmp_path / "none.wav")
    with pytest.raises(SerError, match=r"Cannot read .*none\.wav: No such file"):
        missing.open()
