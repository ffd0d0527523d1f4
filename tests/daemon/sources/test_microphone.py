"""A real capture path: PortAudio, ALSA and PulseAudio, with a null sink as the microphone."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from support.pulse import PulseAudio, virtual_microphone

_SECONDS = 20.0

# Captures until it reads a line, then saves the samples. It prints a line of JSON for every event.
CAPTURE = """
import json, select, sys, time
import numpy as np
from ser_daemon.config.audio import AudioConfig
from ser_daemon.sources import DeviceError, DeviceLost, make_source, microphone

def report(**event):
    print(json.dumps(event), flush=True)

settings = json.loads(sys.argv[1])
if settings.pop("native", False):
    microphone._attempts = lambda device: [(device.rate, "float32")]
source = make_source(AudioConfig(**settings))
chunks = []
opened = lost = False
while not select.select([sys.stdin], [], [], 0)[0]:
    try:
        if not opened:
            source.open()
            opened = True
            report(state="open", name=source.name)
        chunk = source.read()
        if not chunks or lost:
            report(state="reading")
        lost = False
        chunks.append(chunk)
    except DeviceError as error:
        lost = isinstance(error, DeviceLost) or lost
        report(state=type(error).__name__, text=str(error))
        source.close()
        opened = False
        time.sleep(0.1)
source.close()
source.close()
np.save(sys.argv[2], np.concatenate([chunk.samples for chunk in chunks]))
arrivals = [chunk.arrival for chunk in chunks]
report(state="closed", steps=np.diff(arrivals).tolist(), overflows=sum(chunk.overflowed for chunk in chunks))
sys.stdin.readline()
sys.stdin.readline()
"""


class Capture:
    """A process that captures through `ser_daemon.sources`."""

    def __init__(self, pulse: PulseAudio, folder: Path, **settings: object) -> None:
        self._path = folder / "samples.npy"
        self._process = subprocess.Popen(
            [sys.executable, "-c", CAPTURE, json.dumps(settings), str(self._path)],
            env=pulse.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read_lines, daemon=True).start()

    def _read_lines(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(json.loads(line))

    def expect(self, state: str) -> dict[str, Any]:
        """Wait for a state; skip others."""
        while True:
            event = self._lines.get(timeout=_SECONDS)
            if event["state"] == state:
                return event

    def stop(self) -> dict[str, Any]:
        """Make the process close the microphone; it runs until `end`."""
        self._write_line()
        return self.expect("closed")

    def _write_line(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    @property
    def samples(self) -> np.ndarray:
        return np.load(self._path)

    def end(self) -> str:
        """End the process and return its stderr."""
        try:
            return self._process.communicate("\n\n", timeout=_SECONDS)[1]
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.communicate()[1]


@pytest.fixture
def pulse() -> Iterator[PulseAudio]:
    with virtual_microphone() as pulse:
        yield pulse


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    """0.7 s of 440 Hz at half of full scale, 44.1 kHz stereo."""
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(30_870) / 44_100)
    soundfile.write(tmp_path / "tone.wav", np.stack([wave, wave], axis=1), 44_100)
    return tmp_path / "tone.wav"


def loudest(samples: np.ndarray) -> tuple[float, float]:
    """Frequency in Hz and RMS of the loudest half second."""
    energy = np.convolve(samples.astype(float) ** 2, np.ones(8_000), "valid")
    part = samples[energy.argmax() :][:8_000].astype(float)
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part))))
    return float(spectrum.argmax() * 2), float(np.sqrt((part**2).mean()))


@pytest.mark.parametrize("native", [False, True])
def test_a_played_tone_is_captured(pulse: PulseAudio, tmp_path: Path, tone: Path, native: bool) -> None:
    """At 16 kHz, resampled by the sound server, and at 44.1 kHz in float, resampled by the source."""
    capture = Capture(pulse, tmp_path, native=native)
    assert capture.expect("open")["name"] == "default"
    capture.expect("reading")
    assert pulse.play(tone).wait(_SECONDS) == 0
    closed = capture.stop()
    pulse.wait_for_capture(0)
    assert capture.end() == ""
    hertz, rms = loudest(capture.samples)
    assert hertz == pytest.approx(440, abs=2)
    assert rms == pytest.approx(0.5 / np.sqrt(2) * 32_768, rel=0.02)
    assert closed["overflows"] == 0
    assert np.mean(closed["steps"]) == pytest.approx(0.16, abs=0.03)


def test_an_unplugged_microphone_is_lost_and_reopened(pulse: PulseAudio, tmp_path: Path, tone: Path) -> None:
    capture = Capture(pulse, tmp_path)
    capture.expect("reading")
    pulse.unload_sink("mic")
    assert capture.expect("DeviceLost")["text"].startswith('The microphone "default" is gone: ')
    pulse.load_sink("mic")
    capture.expect("reading")
    assert pulse.play(tone).wait(_SECONDS) == 0
    capture.stop()
    assert capture.end() == ""
    assert loudest(capture.samples)[0] == pytest.approx(440, abs=2)


def test_a_microphone_is_reopened_after_the_sound_server_restarts(pulse: PulseAudio, tmp_path: Path) -> None:
    capture = Capture(pulse, tmp_path)
    capture.expect("reading")
    pulse.stop()
    capture.expect("DeviceLost")
    assert "There is no capture device" in capture.expect("NoSuchDevice")["text"]
    pulse.start()
    pulse.load_sink("mic")
    capture.expect("reading")
    capture.stop()
    assert capture.end() == ""


def test_devices_are_listed_and_an_unknown_one_is_an_error(pulse: PulseAudio) -> None:
    script = """
from ser_daemon.config.audio import AudioConfig
from ser_daemon.sources import NoSuchDevice, list_devices, make_source
print([(device.name, device.default, device.host_api) for device in list_devices()])
try:
    make_source(AudioConfig(device="defualt")).open()
except NoSuchDevice as error:
    print(error)
"""
    result = subprocess.run(
        [sys.executable, "-c", script],
        env=pulse.environment,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=True,
    )
    assert result.stderr == ""
    devices, error = result.stdout.splitlines()
    assert "('default', True, 'ALSA')" in devices
    assert 'no capture device "defualt"; did you mean "default"? available: ' in error
