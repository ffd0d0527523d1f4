"""Make the bundled recording that `make run` plays without a microphone.

It holds synthetic speech by espeak-ng with different voices, speeds, pitches and levels, and pauses of weak noise:

    python benchmarks/make_demo.py [daemon/ser_daemon/data/demo.flac]

The same version of espeak-ng gives the same file. It holds no recording of a person.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from ser_model.audio.files import read_audio
from ser_model.types import SAMPLE_RATE

OUTPUT = Path(__file__).parents[1] / "daemon/ser_daemon/data/demo.flac"
PAUSE_SECONDS = 1.6
NOISE_DBFS = -66.0
SEED = 1


@dataclass(frozen=True)
class Line:
    """One utterance, with the settings of espeak-ng(1)."""

    text: str
    voice: str
    speed: int
    """Words per minute."""
    pitch: int
    """0 to 99."""
    peak: float
    """Largest absolute sample, 0 to 1."""


LINES = (
    Line("Kids are talking by the door.", "en-us+female2", 160, 50, 0.40),
    Line("You did it again, and I told you not to!", "en-gb+male3", 215, 75, 0.90),
    Line("I don't think that we will see them again.", "en-us+male7", 115, 20, 0.15),
    Line("Dogs are sitting by the door!", "en-gb-scotland+female4", 190, 95, 0.60),
    Line("Take your time, there is no hurry at all.", "en-gb-x-rp+male1", 130, 35, 0.25),
    Line("What? Is that really for me?", "en-us+female5", 180, 85, 0.50),
)


def synthesise(line: Line, folder: Path) -> np.ndarray:
    """Synthesise a line: float, shape (n,), full scale at ±1, without silence at both ends."""
    path = folder / "line.wav"
    command = ["espeak-ng", "-v", line.voice, "-s", str(line.speed), "-p", str(line.pitch), "-w", str(path)]
    subprocess.run([*command, line.text], check=True)
    samples = read_audio(path).astype(float)
    samples *= line.peak / np.abs(samples).max()
    loud = np.flatnonzero(np.abs(samples) > 0.01 * line.peak)
    return samples[loud[0] : loud[-1] + 1]


def make_demo() -> np.ndarray:
    """Make the recording: int16, shape (n,), 16 kHz."""
    pause = np.zeros(round(PAUSE_SECONDS * SAMPLE_RATE))
    with tempfile.TemporaryDirectory() as folder:
        pieces = [piece for line in LINES for piece in (pause, synthesise(line, Path(folder)))]
    speech = np.concatenate([*pieces, pause])
    noise = np.random.default_rng(SEED).standard_normal(len(speech)) * 10 ** (NOISE_DBFS / 20)
    return np.rint((speech + noise).clip(-1, 1) * 32767).astype(np.int16)


def main() -> None:
    if shutil.which("espeak-ng") is None:
        sys.exit("espeak-ng is not installed; install the package espeak-ng: sudo apt-get install espeak-ng")
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else OUTPUT
    output.parent.mkdir(parents=True, exist_ok=True)
    samples = make_demo()
    soundfile.write(output, samples, SAMPLE_RATE, subtype="PCM_16", format="FLAC")
    print(f"{output}: {len(samples) / SAMPLE_RATE:.1f} s, {output.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
