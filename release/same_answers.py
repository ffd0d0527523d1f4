"""Recordings for a comparison of two machines, and the comparison of their final results."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import soundfile
from wheel import ROOT

TOLERANCE = 1e-3
"""Largest difference of a probability."""

_BUNDLED = (ROOT / "daemon/ser_daemon/data/demo.flac", ROOT / "tests/data/synthetic-speech.flac")
_PIECE_SECONDS = 4
_SPEEDS = (0.9, 1.0, 1.1)


@dataclass
class Comparison:
    """What two machines answered: how many results, the largest difference of a probability, and each fault."""

    finals: int = 0
    largest: float = 0.0
    faults: list[str] = field(default_factory=list)


def choose_recordings(data: Path, folder: Path, count: int) -> list[Path]:
    """Return recordings: of RAVDESS, evenly over actors and emotions, or else pieces of the bundled ones.

    Args:
        data: The folder of `ravdess/`, which may not exist.
        folder: Where pieces are written.
        count: How many.
    """
    files = sorted(data.glob("ravdess/Actor_*/*.flac"))
    if not files:
        files = cut_bundled(folder)
    return [files[index * len(files) // count] for index in range(min(count, len(files)))]


def cut_bundled(folder: Path) -> list[Path]:
    """Cut the bundled recordings into pieces, each at three speeds; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for path in _BUNDLED:
        samples, rate = soundfile.read(path, dtype="int16")
        length = _PIECE_SECONDS * rate
        for start in range(0, len(samples) - length, length):
            for speed in _SPEEDS:
                made.append(folder / f"{path.stem}-{start // rate:02}-{speed}.wav")
                soundfile.write(made[-1], samples[start : start + length], int(rate * speed))
    return made


def compare(expected: dict[str, dict[str, Any]], found: dict[str, dict[str, Any]]) -> Comparison:
    """Compare what `collect_finals` printed on two machines, by the name of the recording."""
    result = Comparison()
    for name, one in expected.items():
        other = found.get(name, {"status": None, "stderr": "", "finals": []})
        if other["status"] != 0 or one["status"] != 0:
            statuses = f"exit status {one['status']} here, {other['status']} there"
            result.faults.append(f"{name}: {statuses}: {other['stderr'].strip()}")
            continue
        if other["stderr"] != one["stderr"]:
            result.faults.append(f"{name}: it wrote: {other['stderr'].strip()}")
        if len(one["finals"]) != len(other["finals"]):
            result.faults.append(f"{name}: {len(one['finals'])} results here, {len(other['finals'])} there")
            continue
        for here, there in zip(one["finals"], other["finals"], strict=True):
            result.finals += 1
            _compare_finals(name, here, there, result)
    return result


def _compare_finals(name: str, here: dict[str, Any], there: dict[str, Any], result: Comparison) -> None:
    for key in ("label", "reason", "start", "end"):
        if here[key] != there[key]:
            result.faults.append(f"{name}: {key} {here[key]} here, {there[key]} there")
    for label, probability in here["scores"].items():
        difference = abs(probability - there["scores"].get(label, 2.0))
        result.largest = max(result.largest, difference)
        # The daemon gives four decimals.
        if round(difference, 6) > TOLERANCE:
            result.faults.append(f"{name}: {label} {probability} here, {there['scores'].get(label)} there")
