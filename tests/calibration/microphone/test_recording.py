"""A microphone that hangs, ends or is muted leads to one sentence in bounded time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from ser_calibration.cli import main as command
from ser_calibration.microphone import recording, recording_session
from ser_calibration.microphone.level_meter import format_level
from ser_calibration.microphone.recording_session import RecordingSession, is_device_hung
from ser_daemon.config.audio import AudioConfig
from ser_daemon.sources import Chunk, DeviceError, DeviceLost, boot_time
from ser_model.errors import SerError
from ser_model.types import SAMPLE_RATE, Samples


class Scripted:
    """A device with scripted audio, faster than real time; by default it then hangs like a C library."""

    live = True

    def __init__(self, samples: Samples, then: str = "hang") -> None:
        self.name = "Scripted"
        self.closed = False
        self.release = threading.Event()
        self._pieces = iter(np.array_split(samples, max(len(samples) // 2560, 1)))
        self._then = then
        self._now = boot_time()

    def open(self) -> None:
        if self._then == "hang in open":
            self.release.wait(30)
        if self._then == "busy":
            raise DeviceError("The microphone is in use.")

    def read(self) -> Chunk | None:
        for piece in self._pieces:
            self._now += len(piece) / SAMPLE_RATE
            return Chunk(piece, self._now)
        if self._then == "gone":
            raise DeviceLost("The microphone is gone.")
        if self._then == "end":
            return None
        if self._then == "nothing":
            time.sleep(0.01)
            return Chunk(np.zeros(0, np.int16), boot_time())
        self.release.wait(30)
        return None

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STALL_SECONDS", "RESPONSE_SECONDS", "_CLOSE_SECONDS"):
        monkeypatch.setattr(recording_session, name, 0.3)


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Scripted]]:
    """A list whose first source `record` opens."""
    sources: list[Scripted] = []
    monkeypatch.setattr(recording, "make_source", lambda config: sources[0])
    yield sources
    for source in sources:
        source.release.set()
    deadline = time.monotonic() + 5
    while is_device_hung() and time.monotonic() < deadline:
        time.sleep(0.01)


def noise(seconds: float) -> Samples:
    return np.round(np.random.default_rng(1).standard_normal(round(seconds * SAMPLE_RATE)) * 30).astype(np.int16)


def record_unattended(lines: list[str] | None = None) -> recording.Recordings:
    shown = [] if lines is None else lines
    return recording.record(AudioConfig(), lambda line, replaceable: shown.append(line), unattended=True)


@pytest.mark.parametrize("after", [0.0, 4.0, 12.0])
def test_a_device_that_hangs_while_it_is_read_ends_the_measurement(scripted: list[Scripted], after: float) -> None:
    scripted.append(Scripted(noise(after) if after else np.zeros(0, np.int16)))
    begin = time.monotonic()
    with pytest.raises(SerError, match=r"^Scripted gives no audio for 0.3 s: .*\?$"):
        record_unattended()
    assert time.monotonic() - begin < 5
    assert is_device_hung()


def test_a_sound_system_that_hangs_while_it_is_opened_ends_the_measurement(scripted: list[Scripted]) -> None:
    scripted.append(Scripted(noise(1), "hang in open"))
    with pytest.raises(SerError, match="The sound system has not answered"):
        record_unattended()
    assert is_device_hung()


@pytest.mark.parametrize(
    ("then", "message"),
    [
        ("busy", "The microphone is in use."),
        ("gone", "The microphone is gone."),
        ("end", "Scripted gives no audio"),
        ("nothing", "Scripted gives no audio"),
    ],
)
def test_a_device_that_fails_is_closed_and_named(scripted: list[Scripted], then: str, message: str) -> None:
    scripted.append(Scripted(noise(5), then))
    with pytest.raises(SerError, match=message):
        record_unattended()
    assert not is_device_hung()
    assert scripted[0].closed or then == "busy"


def test_a_muted_microphone_is_reported_before_anybody_reads_aloud(scripted: list[Scripted]) -> None:
    scripted.append(Scripted(np.zeros(40 * SAMPLE_RATE, np.int16)))
    lines: list[str] = []
    with pytest.raises(SerError, match="Scripted gives nothing but zeros; "):
        record_unattended(lines)
    assert not any(recording.SENTENCES[0] in line for line in lines)
    assert any("nothing but zeros: muted?" in line for line in lines)


def test_unattended_records_fixed_lengths_whoever_speaks(scripted: list[Scripted]) -> None:
    scripted.append(Scripted(noise(90)))
    found = record_unattended()
    assert len(found.silence) == pytest.approx(recording.SILENCE_SECONDS * SAMPLE_RATE, abs=2600)
    assert len(found.speech) == pytest.approx(recording.UNATTENDED_SPEECH_SECONDS * SAMPLE_RATE, abs=2600)
    assert found.device == "Scripted"
    assert found.timing is not None
    assert found.timing.lost_ms == 0
    assert scripted[0].closed


def test_without_a_keyboard_no_key_is_waited_for(scripted: list[Scripted], monkeypatch: pytest.MonkeyPatch) -> None:
    scripted.append(Scripted(noise(60)))
    reader, writer = os.pipe()
    with os.fdopen(reader) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        found = recording.record(AudioConfig(), lambda line, replaceable: None)
    os.close(writer)
    assert len(found.speech) == pytest.approx(recording.MAX_SPEECH_SECONDS * SAMPLE_RATE, abs=2600)


def test_a_process_with_a_hanging_device_ends_with_its_code(
    scripted: list[Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    codes: list[int] = []
    monkeypatch.setattr(command.os, "_exit", codes.append)
    assert command.exit_process(2) == 2
    assert codes == []
    source = Scripted(np.zeros(0, np.int16))
    scripted.append(source)
    with pytest.raises(SerError), RecordingSession(source) as device:
        device.read()
    command.exit_process(2)
    assert codes == [2]


@pytest.mark.parametrize(("level", "bar"), [(-200.0, 0), (-72.0, 0), (-36.0, 10), (0.0, 20), (5.0, 20)])
def test_the_meter_has_one_width(level: float, bar: int) -> None:
    shown = format_level(level)
    assert shown.count("#") == bar
    assert shown.index("]") == 21
