"""`ser-calibrate speaker` records from a capture device and shows the progress."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ser_calibration.cli.main import main
from ser_calibration.microphone.output import check_writable
from ser_calibration.speaker.recording import MAX_PAUSE_SECONDS, MUTED_SECONDS, SpeechProgress, record
from ser_daemon.adaptation.files import read_statistics
from ser_daemon.config.audio import AudioConfig
from ser_daemon.sources import Chunk
from ser_model import Model
from ser_model.errors import SerError
from ser_model.types import SAMPLE_RATE
from support.pulse import virtual_microphone
from support.speech import SYNTHETIC_SPEECH

WAIT = 60.0

SHORT_ENROLMENT = (
    "import sys; from ser_calibration.cli.main import main; from ser_calibration.speaker import enrolment; "
    "enrolment.MIN_SECONDS, enrolment.ENOUGH_SECONDS = 3.0, 5.0; sys.exit(main(sys.argv[1:]))"
)
"""The command, with five seconds of speech as enough."""


def read_terminal(descriptor: int, process: subprocess.Popen[bytes]) -> str:
    """Return what a process writes to its terminal until it ends."""
    shown = b""
    deadline = time.monotonic() + WAIT
    while time.monotonic() < deadline:
        if select.select([descriptor], [], [], 0.1)[0]:
            try:
                shown += os.read(descriptor, 4096)
            except OSError:
                break
        elif process.poll() is not None:
            break
    return shown.decode()


@pytest.mark.slow
def test_speech_into_a_microphone_makes_a_profile(tmp_path: Path) -> None:
    output = tmp_path / "new" / "anna.json"
    ours, theirs = pty.openpty()
    with virtual_microphone() as pulse:
        command = [sys.executable, "-c", SHORT_ENROLMENT, "speaker", "anna", "--output", str(output)]
        environ = {**pulse.environment, "TERM": "xterm"}
        calibrate = subprocess.Popen(command, env=environ, stdin=theirs, stdout=theirs, stderr=theirs)
        processes = [calibrate]
        os.close(theirs)
        try:
            pulse.wait_for_capture(seconds=WAIT)
            processes.append(pulse.play(SYNTHETIC_SPEECH, latency_ms=1000))
            shown = read_terminal(ours, calibrate)
            assert calibrate.wait(10) == 0, shown
        finally:
            for process in processes:
                process.kill()
                process.wait(10)
            os.close(ours)
        written = {path.name for path in pulse.folder.rglob("*") if path.suffix in (".wav", ".raw", ".flac")}
    assert written == set()
    assert [path.name for path in output.parent.iterdir()] == ["anna.json"]
    assert read_statistics(output, Model.load().metadata).seconds > 3
    # Line ends and terminal control sequences separate the lines.
    lines = re.split(r"(?:[\r\n]|\x1b\[[0-9?]*[A-Za-z])+", shown)
    assert "Microphone: default" in lines
    meters = [line for line in lines if line.startswith("[")]
    counts = [int(found[1]) for line in meters if (found := re.search(r"dBFS +(\d+) of 5 s spoken", line))]
    assert (counts[0], counts[-1] >= 4, counts == sorted(counts)) == (0, True, True)
    assert all(len(line) < 80 for line in meters)
    assert any(line.startswith("Profile of 'anna' from ") for line in lines)


class Scripted:
    """A device with a constant level, faster than real time."""

    live = True
    name = "Scripted"

    def __init__(self, level: int) -> None:
        self.samples = np.full(SAMPLE_RATE, level, np.int16)

    def open(self) -> None:
        pass

    def read(self) -> Chunk:
        return Chunk(self.samples, time.monotonic())

    def close(self) -> None:
        pass


def test_a_muted_microphone_is_reported_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ser_calibration.speaker.recording.make_source", lambda config: Scripted(0))
    pieces = record(AudioConfig(), lambda line, replaceable: None)
    lengths = [len(next(pieces)) for _ in range(round(MUTED_SECONDS) - 1)]
    assert set(lengths) == {SAMPLE_RATE}
    with pytest.raises(SerError, match=r"^Scripted gives nothing but zeros; .*\.$"):
        next(pieces)


def test_zeros_after_sound_are_no_fault_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Scripted(10)
    monkeypatch.setattr("ser_calibration.speaker.recording.make_source", lambda config: device)
    with contextlib.closing(record(AudioConfig(), lambda line, replaceable: None)) as pieces:
        next(pieces)
        device.samples = np.zeros(SAMPLE_RATE, np.int16)
        # Blocks that were read before come first.
        next(piece for piece in pieces if not piece.any())
        silent = [next(pieces) for _ in range(round(2 * MUTED_SECONDS))]
    assert not np.concatenate(silent).any()


def test_sound_without_speech_gets_a_hint_and_ends() -> None:
    lines: list[str] = []
    progress = SpeechProgress(lambda line, replaceable: lines.append(line), 45.0)
    samples = np.full(SAMPLE_RATE, 10, np.int16)
    seconds = 1
    while not progress.push(samples, 0):
        seconds += 1
    assert seconds == MAX_PAUSE_SECONDS
    assert "speak up" not in lines[0]
    assert lines[-1].endswith("0 of 45 s spoken  speak up, or come nearer")


def test_zeros_in_a_pause_are_no_mute() -> None:
    lines: list[str] = []
    progress = SpeechProgress(lambda line, replaceable: lines.append(line), 45.0)
    for level in (10, 0, 0, 0, 10, 32767):
        progress.push(np.full(SAMPLE_RATE, level, np.int16), 0)
    assert ["muted?" in line for line in lines] == [False, False, True, True, False, False]
    assert lines[-1].endswith("TOO LOUD")


def test_the_recording_ends_with_enough_speech() -> None:
    progress = SpeechProgress(lambda line, replaceable: None, 45.0)
    samples = np.full(SAMPLE_RATE, 10, np.int16)
    ends = [progress.push(samples, second * SAMPLE_RATE // 2) for second in range(91)]
    assert ends == [False] * 90 + [True]


@pytest.mark.parametrize("name", ["file/x.json", "file/new/x.json", "folder"])
def test_a_place_that_takes_no_profile_is_reported_before_anybody_speaks(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    # If the device were opened first, the error would name the device.
    monkeypatch.setenv("ALSA_CONFIG_PATH", "/nonexistent")
    assert main(["speaker", "anna", "--output", str(tmp_path / name)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"ser-calibrate: {tmp_path / name}: cannot write this profile: ")
    assert error.count("\n") == 1


def test_the_check_of_a_place_leaves_nothing_there(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "folder" / "anna.json")
    assert list(tmp_path.iterdir()) == []
