"""The bundled recording of `--demo`, as single recordings: two people, six labels, one sentence each."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import soundfile

from ser_model import read_audio
from ser_model.types import SAMPLE_RATE

STARTS = (1.4, 5.0, 9.7, 13.9, 17.5, 22.4, 27.3, 31.6, 36.7, 40.7, 45.5, 50.8)
"""Begin of each sentence in seconds, as its licence file lists them."""

DEMO_LABELS = ("neutral", "happy", "sad", "angry", "fearful", "disgust")


def write_demo_recordings(folder: Path) -> list[tuple[Path, str]]:
    """Write the sentences as WAV files; return them with their labels. The two people take turns."""
    samples = read_audio(str(files("ser_daemon").joinpath("data", "demo.flac")))
    ends = [*STARTS[1:], len(samples) / SAMPLE_RATE + 1]
    written = []
    for number, (start, end) in enumerate(zip(STARTS, ends, strict=True)):
        path = folder / f"{number:02}.wav"
        soundfile.write(path, samples[round((start - 1) * SAMPLE_RATE) : round((end - 1) * SAMPLE_RATE)], SAMPLE_RATE)
        written.append((path, DEMO_LABELS[number // 2]))
    return written
