"""`ser-calibrate mic` records from a real capture device and keeps no audio."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser_calibration.microphone.measurement import measure
from ser_daemon.config.profiles import read_profile
from ser_model.audio.files import read_audio
from ser_model.types import SAMPLE_RATE
from support.pulse import virtual_microphone
from support.speech import SYNTHETIC_SPEECH


@pytest.mark.slow
def test_a_microphone_is_measured_as_its_recordings_are(tmp_path: Path) -> None:
    room = tmp_path / "room.wav"
    wave = np.random.default_rng(1).standard_normal(60 * SAMPLE_RATE) * 32768 * 10 ** (-55 / 20)
    soundfile.write(room, np.round(wave).astype(np.int16), SAMPLE_RATE)
    output = tmp_path / "profiles" / "p.yaml"
    with virtual_microphone() as pulse:
        humming = pulse.play(room)
        command = [sys.executable, "-m", "ser_calibration.cli.main", "mic", "--output", str(output)]
        calibrate = subprocess.Popen(
            [*command, "--unattended"],
            env=pulse.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        speaking = None
        try:
            assert calibrate.stderr is not None
            # Ends with the program's output at the latest; the program's own waits are bounded.
            for line in calibrate.stderr:
                if line.startswith("Now read"):
                    speaking = pulse.play(SYNTHETIC_SPEECH)
            out, _ = calibrate.communicate(timeout=60)
        finally:
            for process in (humming, speaking, calibrate):
                if process is not None:
                    process.kill()
                    process.wait(10)
        assert calibrate.returncode == 0, out
        written = {path.name for path in pulse.folder.rglob("*") if path.suffix in (".wav", ".raw", ".flac")}
    assert written == set()
    profile = read_profile(output)
    offline = measure(read_audio(room), read_audio(SYNTHETIC_SPEECH))
    assert f"Profile of {profile.device!r} written to {output}" in out
    assert "0 overflows reported" in out
    assert re.search(r"^Delay .*; the sound system itself reports \d+ ms$", out, re.MULTILINE)
    assert re.search(r"reports \d+ ms", output.with_suffix(".html").read_text())
    assert "samples a second for 16000 (" in out
    assert profile.noise_floor_dbfs == pytest.approx(offline.noise_floor_dbfs, abs=2)
    assert profile.speech_level_dbfs == pytest.approx(offline.speech_level_dbfs, abs=4)


@pytest.mark.slow
def test_a_sound_server_that_freezes_ends_the_measurement_with_a_sentence(tmp_path: Path) -> None:
    output = tmp_path / "p.yaml"
    with virtual_microphone() as pulse:
        assert pulse._server is not None
        server = pulse._server.pid
        command = [sys.executable, "-m", "ser_calibration.cli.main", "mic", "--unattended", "--output", str(output)]
        calibrate = subprocess.Popen(
            command, env=pulse.environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        try:
            pulse.wait_for_capture()
            os.kill(server, signal.SIGSTOP)
            begin = time.monotonic()
            _, err = calibrate.communicate(timeout=30)
        finally:
            os.kill(server, signal.SIGCONT)
            calibrate.kill()
            calibrate.wait(10)
    assert calibrate.returncode == 2
    assert time.monotonic() - begin < 30
    assert "gives no audio for 5 s" in err.splitlines()[-1]
    assert not output.exists()
