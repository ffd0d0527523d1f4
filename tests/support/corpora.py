"""Small corpora with an index, made of tones, noise or a sentence."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ser_model.types import Samples

COLUMNS = ("path", "speaker", "emotion", "language")


def write_index(root: Path, rows: Iterable[Mapping[str, object]], columns: Sequence[str] = COLUMNS) -> None:
    """Write `index.csv`."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / "index.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def make_corpus(
    root: Path,
    speakers: Sequence[str] = ("a", "b"),
    emotions: Sequence[str] = ("neutral", "angry"),
    *,
    sound: Samples | None = None,
    more: Mapping[str, object] | None = None,
) -> Path:
    """Write one recording for each speaker and emotion, each at its own pitch, and the index.

    Args:
        root: the folder.
        speakers: names of the speakers.
        emotions: what the index says of their recordings.
        sound: what is spoken; `None`: a few samples, for tests that decode nothing.
        more: further columns, the same in every row.
    """
    import soundfile

    rows = []
    samples = np.full(160, 1000, dtype=np.int16) if sound is None else sound
    for number, speaker in enumerate(speakers):
        (root / speaker).mkdir(parents=True)
        for place, emotion in enumerate(emotions):
            path = f"{speaker}/{place}-{emotion.replace(':', '-')}.wav"
            soundfile.write(root / path, samples, 14_000 + 700 * place + 50 * number)
            rows.append({"path": path, "speaker": speaker, "emotion": emotion, "language": "en", **(more or {})})
    write_index(root, rows, (*COLUMNS, *(more or {})))
    return root
