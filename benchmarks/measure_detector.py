"""Compare the voice activity detector with Silero's own graph, which runs frame by frame.

    python benchmarks/measure_detector.py                          # the recordings of the source tree
    python benchmarks/measure_detector.py FOLDER ... --every 10    # every tenth recording of folders

It prints the largest difference of the probabilities, and the processor time of a frame, for reads of 160 ms: warm,
and after 64 MB of other data went through the caches, as happens between two reads. The two take turns, so that the
load of the machine meets both. Figures are medians.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ser_model.audio.files import read_audio
from ser_model.audio.vad import Frames, SileroDetector, VoiceDetector
from ser_model.network.onnx_session import new_session
from ser_model.types import SAMPLE_RATE, Samples

ROOT = Path(__file__).resolve().parents[1]
ORIGINAL = ROOT / "release/silero_vad_16k.onnx"
RECORDINGS = (ROOT / "daemon/ser_daemon/data/demo.flac", ROOT / "tests/data/synthetic-speech.flac")
ENDINGS = {".wav", ".flac", ".opus", ".ogg", ".mp3"}

READ_FRAMES = 5
"""Frames of a read of 160 ms."""

BATCHES = (1, 5, 16)
"""Numbers of frames in a run whose probabilities are compared."""

FLUSH_BYTES = 64 << 20
WARM_READS, COLD_READS = 100, 20


class OriginalDetector:
    """Silero's own graph, one frame a run."""

    frame_samples = 512
    _CONTEXT = 64

    def __init__(self) -> None:
        self._session = new_session(ORIGINAL.read_bytes())
        self._rate = np.array(SAMPLE_RATE, dtype=np.int64)
        self.reset()

    def probabilities(self, frames: Frames) -> list[float]:
        return [self._probability(frame) for frame in frames]

    def _probability(self, frame: Frames) -> float:
        self._input[0, self._CONTEXT :] = frame
        output, self._state = self._session.run(None, {"input": self._input, "state": self._state, "sr": self._rate})
        self._input[0, : self._CONTEXT] = frame[-self._CONTEXT :]
        return float(output[0, 0])

    def reset(self) -> None:
        self._state = np.zeros((2, 1, 128), dtype=np.float32)
        self._input = np.zeros((1, self._CONTEXT + self.frame_samples), dtype=np.float32)


def in_frames(samples: Samples) -> Frames:
    """Return the whole frames, scaled so that the loudest sample is at half of full scale."""
    frames = samples[: len(samples) // 512 * 512].reshape(-1, 512).astype(np.float32)
    return frames / np.float32(2 * max(np.abs(frames).max(initial=0), 1))


def run(detector: VoiceDetector, frames: Frames, batch: int) -> np.ndarray:
    """Return the probabilities from the start of a recording, for runs of so many frames."""
    detector.reset()
    return np.concatenate([detector.probabilities(frames[at : at + batch]) for at in range(0, len(frames), batch)])


def largest_difference(frames: Frames, original: VoiceDetector, detector: VoiceDetector) -> float:
    """Return the largest difference between the two detectors, over all sizes of runs."""
    wanted = run(original, frames, len(frames))
    return max(float(np.abs(run(detector, frames, batch) - wanted).max()) for batch in BATCHES)


def processor_time(detector: VoiceDetector, frames: Frames, reads: int, other: np.ndarray | None) -> float:
    """Return the processor time of a frame in µs; before each read, `other` goes through the caches."""
    spent = 0
    for index in range(reads):
        at = index * READ_FRAMES % (len(frames) - READ_FRAMES)
        if other is not None:
            other.sum()
        begun = time.thread_time_ns()
        detector.probabilities(frames[at : at + READ_FRAMES])
        spent += time.thread_time_ns() - begun
    return spent / (reads * READ_FRAMES) / 1000


def recordings(folders: Sequence[Path], every: int) -> list[Path]:
    """Return every so many recordings below the folders."""
    if not folders:
        return list(RECORDINGS)
    found = sorted(path for folder in folders for path in folder.rglob("*") if path.suffix in ENDINGS)
    if not found:
        raise SystemExit(f"measure_detector: no recordings below {', '.join(map(str, folders))}")
    return found[::every]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="*", metavar="FOLDER", help="recordings to compare on")
    parser.add_argument("--every", type=int, default=1, help="take every n-th recording only")
    parser.add_argument("--rounds", type=int, default=15, help="rounds of the measurement of time (15)")
    options = parser.parse_args(argv)
    original, detector = OriginalDetector(), SileroDetector()
    paths = recordings(options.folders, options.every)
    count, largest = 0, 0.0
    for path in paths:
        frames = in_frames(read_audio(path))
        if len(frames):
            count += len(frames)
            largest = max(largest, largest_difference(frames, original, detector))
    hours = count * 512 / SAMPLE_RATE / 3600
    print(f"{len(paths)} recordings, {count} frames, {hours:.2f} h: largest difference {largest:.1e}")
    frames = in_frames(read_audio(RECORDINGS[1]))
    other = np.ones(FLUSH_BYTES // 4, dtype=np.float32)
    print("processor time of a frame   Silero's graph   this one   ratio")
    for name, reads, data in (("warm", WARM_READS, None), ("after 64 MB of other data", COLD_READS, other)):
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(options.rounds):
            for one, found in zip((original, detector), times, strict=True):
                found.append(processor_time(one, frames, reads, data))
        old, new = map(statistics.median, times)
        print(f"{name:26s} {old:11.0f} µs {new:9.0f} µs   {new / old:.2f}")


if __name__ == "__main__":
    main()
