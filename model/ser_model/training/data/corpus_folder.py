"""Reads a corpus folder: recordings in any arrangement, and `index.csv`, which says who speaks how."""

from __future__ import annotations

import csv
import math
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from ser_model.errors import SerError
from ser_model.labels import LABELS
from ser_model.training.data.corpus import find_recordings
from ser_model.training.data.labelled_corpus import LabelledCorpus, LabelledRecording, Votes, label_ravdess

INDEX: Final = "index.csv"
REQUIRED: Final = ("path", "speaker", "emotion", "language")
"""Columns that every index has. `sex`, `age`, `fold` and `votes_LABEL` are optional; others are ignored."""
NONE: Final = "none"
"""The emotion of ordinary speech, in which nobody acts."""
OTHER: Final = "other:"
"""Prefix of an emotion that is none of `LABELS`; such recordings are left out and counted."""
VOTES: Final = "votes_"

_RAVDESS: Final = "Actor_*"
"""Folders that RAVDESS consists of."""


class _Row(NamedTuple):
    line: int
    values: dict[str, str]

    @property
    def path(self) -> str:
        return self.values["path"]


def is_corpus(path: Path) -> bool:
    """Whether a path is a folder that `open_corpus` can read."""
    return (path / INDEX).is_file() or any(path.glob(_RAVDESS))


def open_corpus(root: Path, name: str | None = None) -> LabelledCorpus:
    """Read a folder with an index, or the RAVDESS folder, which needs none.

    Args:
        root: the folder.
        name: name of the corpus; `None`: that of the folder.

    Raises:
        SerError: see `read_corpus` and `ser_model.training.data.corpus.find_recordings`.
    """
    name = name or root.resolve().name
    if root.is_dir() and not (root / INDEX).exists() and is_corpus(root):
        return label_ravdess(find_recordings(root), root, name)
    return read_corpus(root, name)


def read_corpus(root: Path, name: str) -> LabelledCorpus:
    """Read a folder with an index. The recordings themselves are not decoded.

    Args:
        root: folder of `index.csv` and the recordings that it names.
        name: name of the corpus, which its speakers get as a prefix.

    Raises:
        SerError: There is no index, it lacks a column, a label is unknown, a path leaves the folder or occurs twice,
            a file is missing, a number is none, or a speaker is in two folds.
    """
    if not root.is_dir():
        raise SerError(f"{root}: expected a corpus folder with {INDEX}, found no such folder")
    columns, rows = _read_rows(root / INDEX)
    _check_rows(root, rows)
    votes = [column for column in columns if column.startswith(VOTES)]
    recordings = [_recording(root, name, row, votes) for row in rows if not row.values["emotion"].startswith(OTHER)]
    if not recordings:
        raise SerError(f"{root / INDEX}: names no recording with one of the labels, or {NONE}")
    _check_folds(root, recordings)
    left_out = Counter(row.values["emotion"] for row in rows if row.values["emotion"].startswith(OTHER))
    return LabelledCorpus(
        name=name,
        root=root,
        recordings=tuple(recordings),
        left_out=dict(left_out),
        identity=tuple(_identity(one) for one in recordings),
    )


def _identity(recording: LabelledRecording) -> str:
    """Name, size and time of change: a recording that is made again under its old name gets new frames."""
    status = recording.path.stat()
    return f"{recording.name} {status.st_size} {status.st_mtime_ns}"


def _read_rows(index: Path) -> tuple[list[str], list[_Row]]:
    if not index.is_file():
        raise SerError(f"{index}: is missing; expected a table with the columns {', '.join(REQUIRED)}")
    try:
        with index.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True, restval="")
            columns = list(reader.fieldnames or [])
            table = [(reader.line_num, row) for row in reader]
    except (csv.Error, UnicodeDecodeError) as error:
        raise SerError(f"{index}: is no table of comma-separated values in UTF-8 ({error})") from error
    missing = [column for column in REQUIRED if column not in columns]
    if missing:
        raise SerError(f"{index}: lacks the column {' and '.join(missing)}; expected {', '.join(REQUIRED)}")
    unknown = [column for column in columns if column.startswith(VOTES) and column[len(VOTES) :] not in LABELS]
    if unknown:
        raise SerError(f"{index}: has votes for an unknown label, {unknown[0]}; expected {_labels()}")
    if not table:
        raise SerError(f"{index}: names no recording")
    # Values beyond the header have the key `None`.
    rows = [_Row(line, {column: row[column].strip() for column in columns}) for line, row in table]
    return columns, rows


def _labels() -> str:
    return f"{', '.join(LABELS)}"


def _check_rows(root: Path, rows: Sequence[_Row]) -> None:
    """Check rows for one fault after the other."""
    inside = root.resolve()
    counts = Counter(os.path.normpath(row.path) for row in rows)
    checks: tuple[tuple[Callable[[_Row], bool], str], ...] = (
        (
            lambda row: not row.path or not row.values["speaker"],
            "name no path or no speaker",
        ),
        (
            lambda row: not _known(row.values["emotion"]),
            f"have an unknown emotion; expected {_labels()}, {NONE} (nobody acts) or {OTHER}NAME (left out)",
        ),
        (
            lambda row: not _is_inside(inside, row.path),
            "have a path that is absolute or leaves the folder",
        ),
        (lambda row: counts[os.path.normpath(row.path)] > 1, "have a path that occurs twice"),
        (lambda row: not (root / row.path).is_file(), "name a file that is missing"),
    )
    for fails, sentence in checks:
        faulty = [row for row in rows if fails(row)]
        if faulty:
            raise _fault(root, faulty, len(rows), sentence)


def _fault(root: Path, faulty: Sequence[_Row], total: int, sentence: str) -> SerError:
    first = faulty[0]
    shown = first.path if "emotion" not in sentence else f"{first.path}: {first.values['emotion']!r}"
    return SerError(
        f"{root / INDEX}: {len(faulty)} of {total} rows {sentence}; the first is line {first.line}, {shown}"
    )


def _is_inside(root: Path, path: str) -> bool:
    """Whether a path leads to a place below `root`, which is resolved; links are followed."""
    if os.path.isabs(path) or "\0" in path:
        return False
    return (root / path).resolve().is_relative_to(root)


def _known(emotion: str) -> bool:
    return emotion in LABELS or emotion == NONE or (emotion.startswith(OTHER) and len(emotion) > len(OTHER))


def _recording(root: Path, name: str, row: _Row, votes: Sequence[str]) -> LabelledRecording:
    values = row.values
    emotion = values["emotion"]
    return LabelledRecording(
        path=root / row.path,
        name=row.path,
        speaker=f"{name}/{values['speaker']}",
        emotion=None if emotion == NONE else LABELS.index(emotion),
        languages=tuple(part for part in values["language"].split("/") if part),
        sex=values.get("sex", ""),
        age=_whole_number(root, row, "age"),
        votes=_votes(root, row, votes),
        fold=_whole_number(root, row, "fold"),
    )


def _votes(root: Path, row: _Row, columns: Sequence[str]) -> Votes | None:
    counts = [0.0] * len(LABELS)
    given = False
    for column in columns:
        if row.values[column]:
            given = True
            counts[LABELS.index(column[len(VOTES) :])] = _number(root, row, column)
    return tuple(counts) if given else None


def _number(root: Path, row: _Row, column: str) -> float:
    try:
        number = float(row.values[column])
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise SerError(
            f"{root / INDEX}: line {row.line} has {row.values[column]!r} as {column}; expected a number from 0, "
            "or nothing where it is not known"
        )
    return number


def _whole_number(root: Path, row: _Row, column: str) -> int | None:
    return int(_number(root, row, column)) if row.values.get(column) else None


def _check_folds(root: Path, recordings: Sequence[LabelledRecording]) -> None:
    """Check that the folds of an index, if it has any, divide its speakers."""
    folds: dict[str, int | None] = {}
    for one in recordings:
        if folds.setdefault(one.speaker, one.fold) != one.fold:
            who = one.speaker.partition("/")[2]
            shown = " and ".join("none" if fold is None else str(fold) for fold in (folds[one.speaker], one.fold))
            raise SerError(
                f"{root / INDEX}: the speaker {who} is in two folds, {shown}; a speaker's recordings belong together"
            )
    if None in folds.values() and set(folds.values()) != {None}:
        lacking = [speaker for speaker, fold in folds.items() if fold is None]
        raise SerError(
            f"{root / INDEX}: {len(lacking)} of {len(folds)} speakers have no fold, the first is "
            f"{lacking[0].partition('/')[2]}; give every speaker a fold, or none"
        )
