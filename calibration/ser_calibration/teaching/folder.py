"""Read a person's own recordings: a folder with `index.csv`, or with one folder a label."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ser_model.adaptation.taught_head import MOST_EXAMPLES
from ser_model.errors import SerError
from ser_model.labels import LABELS
from ser_model.small_file import UnreadableFileError, read_small_file

INDEX: Final = "index.csv"
"""Table of the recordings with the columns `path` and `emotion`, as in a corpus folder of `ser-model`."""

LEFT_OUT: Final = ("none", "other:")
"""Emotions, or their prefix, that stand for no label. Their recordings are left out."""

SUFFIXES: Final = (".wav", ".flac", ".ogg", ".opus", ".mp3")

_MOST_BYTES: Final = 1 << 22
"""Longest table that is read: tens of thousands of recordings."""


def find_recordings(folder: Path) -> list[tuple[Path, str]]:
    """Return the recordings of a folder and their labels; the audio is not read.

    Raises:
        SerError: there is no such folder, it has no recording with a label, a label is unknown, the table is damaged,
            a file is missing, there are several speakers, or more recordings than a profile can hold.
    """
    if not folder.is_dir():
        raise SerError(f"{folder}: expected a folder with {INDEX} or with one folder a label, found no such folder.")
    found = list(_from_index(folder) if (folder / INDEX).exists() else _from_folders(folder))
    if not found:
        raise SerError(
            f"{folder}: holds no recording with a label; expected {INDEX} with the columns path and emotion, or "
            f"folders with the names of labels ({', '.join(LABELS)}) and WAV or FLAC files in them."
        )
    if len(found) > MOST_EXAMPLES:
        raise SerError(f"{folder}: holds {len(found)} recordings; a profile takes up to {MOST_EXAMPLES}, so use fewer.")
    return found


def _from_folders(folder: Path) -> Iterator[tuple[Path, str]]:
    for below in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        recordings = sorted(path for path in below.iterdir() if path.suffix.lower() in SUFFIXES)
        if recordings and below.name not in LABELS:
            raise SerError(f"{below}: is named after no label; expected {', '.join(LABELS)}.")
        yield from ((path, below.name) for path in recordings)


def _from_index(folder: Path) -> Iterator[tuple[Path, str]]:
    index = folder / INDEX
    rows = [row for row in _read_rows(index) if not row[1]["emotion"].startswith(LEFT_OUT)]
    inside = folder.resolve()
    for line, row in rows:
        path = folder / row["path"]
        if row["emotion"] not in LABELS:
            raise SerError(f"{index}: line {line} has the label {row['emotion']!r:.40}; expected {', '.join(LABELS)}.")
        if not path.resolve().is_relative_to(inside):
            raise SerError(f"{index}: line {line} names {row['path']}, which is not in the folder.")
        if not path.is_file():
            raise SerError(f"{index}: line {line} names {row['path']}, which is missing.")
        yield path, row["emotion"]
    speakers = {speaker for _, row in rows if (speaker := row.get("speaker"))}
    if len(speakers) > 1:
        raise SerError(f"{index}: names {len(speakers)} speakers, but a profile is of one voice; keep the rows of one.")


def _read_rows(index: Path) -> list[tuple[int, dict[str, str]]]:
    """Return the rows and their lines in the file."""
    try:
        # A byte order mark comes from spreadsheets.
        text = read_small_file(index, _MOST_BYTES).decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True, restval="")
        columns = list(reader.fieldnames or [])
        table = [(reader.line_num, row) for row in reader]
    except UnreadableFileError as error:
        raise SerError(f"{index}: can't be read ({error}).") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise SerError(f"{index}: is no table of comma-separated values in UTF-8 ({error}).") from None
    missing = [column for column in ("path", "emotion") if column not in columns]
    if missing:
        raise SerError(f"{index}: lacks the column {' and '.join(missing)}; expected path and emotion.")
    # Values beyond the header have the key `None`.
    return [(line, {column: row[column].strip() for column in columns}) for line, row in table]
