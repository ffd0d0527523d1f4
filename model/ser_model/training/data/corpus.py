"""RAVDESS on disk: its recordings, the faults of a folder, and the folds of the paper."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

from rich.progress import track

from ser_model.audio.files import read_audio
from ser_model.errors import SerError

ACTORS = range(1, 25)
PER_ACTOR = 60

TEST_ACTORS: tuple[tuple[int, ...], ...] = (
    (2, 5, 14, 15, 16),
    (3, 6, 7, 13, 18),
    (10, 11, 12, 19, 20),
    (8, 17, 21, 23, 24),
    (1, 4, 9, 22),
)
"""Actors of the five test folds (arXiv 2606.03359)."""

VALIDATION_ACTORS: tuple[tuple[int, ...], ...] = ((3, 6), (10, 11), (8, 17), (1, 14), (2, 5))
"""Actors that choose epochs and settings, fold by fold. Each is a test actor of another fold."""

NEVER_VALIDATING: frozenset[int] = frozenset(ACTORS) - {a for actors in VALIDATION_ACTORS for a in actors}
"""The 14 actors that choose nothing in any fold."""

SAME_SOUND: Final = ("03-01-03-01-02-01-07", "03-01-03-01-02-02-07")
"""Two recordings with the same samples: the second repetition was published as a copy of the first. They count as two,
as in all published results. Both are of actor 7, so that a split by actors keeps them together. A split by recordings
must keep recordings with the same `Recording.sound` together."""

_NAME = re.compile(r"03-01-(0[1-8])-(0[12])-(0[12])-(0[12])-([0-2]\d)\.(?:wav|flac)")

_AUDIO = frozenset((".wav", ".flac", ".mp3", ".ogg", ".m4a", ".aac", ".aif", ".aiff", ".mp4", ".opus", ".wma"))
"""Suffixes, in lower case, of files that may be meant as recordings."""

_SHOWN: Final = 5
"""Number of names in a message; further ones are counted."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One file of RAVDESS speech (Livingstone & Russo 2018, doi 10.1371/journal.pone.0196391)."""

    path: Path
    emotion: int
    """Index into `LABELS`."""
    intensity: int
    """1 normal, 2 strong."""
    statement: int
    repetition: int
    actor: int

    @property
    def name(self) -> str:
        """Name of the file without its suffix."""
        return self.path.stem

    @property
    def sound(self) -> str:
        """Name of the sound: the same for two recordings with the same samples (see `SAME_SOUND`)."""
        return SAME_SOUND[0] if self.name in SAME_SOUND else self.name


@dataclass(frozen=True, slots=True)
class Corpus:
    """The recordings of a folder."""

    recordings: tuple[Recording, ...]
    missing: tuple[int, ...]
    """Actors with fewer than 60 recordings."""
    absent: tuple[str, ...] = ()
    """Names of the recordings of RAVDESS that are missing."""
    misnamed: tuple[Path, ...] = ()
    """Audio files in the folders of actors that are not used: their name is not one of RAVDESS, belongs to another
    actor, or occurs twice."""


def expected_names(actor: int) -> list[str]:
    """Names of the 60 recordings of an actor: 8 emotions, 2 intensities (neutral: 1), 2 statements, 2 repetitions."""
    return [
        f"03-01-{emotion:02d}-{intensity:02d}-{statement:02d}-{repetition:02d}-{actor:02d}"
        for emotion, intensity, statement, repetition in product(range(1, 9), (1, 2), (1, 2), (1, 2))
        if emotion > 1 or intensity == 1
    ]


def find_recordings(root: Path) -> Corpus:
    """List the recordings below `root`, a folder of `Actor_NN/*.{wav,flac}`, in a fixed order.

    Raises:
        SerError: The folder does not exist, or holds no recording with a name of RAVDESS.
    """
    if not root.is_dir():
        raise SerError(f"{root}: expected the RAVDESS folder (Actor_01 ... Actor_24), found no such folder")
    expected = [name for actor in ACTORS for name in expected_names(actor)]
    wanted, found, misnamed = set(expected), dict[str, Recording](), []
    for path in sorted(root.glob("Actor_*/*")):
        # Hidden files are no recordings: macOS leaves `._NAME.wav` beside the files that it unpacks.
        if path.suffix.lower() not in _AUDIO or path.name.startswith("."):
            continue
        recording = _parse(path)
        if recording is None or recording.name not in wanted or recording.name in found:
            misnamed.append(path)
        else:
            found[recording.name] = recording
    if not found:
        others = f"; {_misnamed_faults(misnamed)[0]}" if misnamed else ""
        raise SerError(
            f"{root}: found no recording; expected Actor_NN/03-01-*.wav or .flac, as in Audio_Speech_Actors_01-24"
            + others
        )
    return _corpus(found.values(), misnamed)


def _parse(path: Path) -> Recording | None:
    """Parse the name of a file; `None` if it is not one of RAVDESS, or the folder is that of another actor."""
    match = _NAME.fullmatch(path.name)
    if match is None or path.parent.name != f"Actor_{match[5]}":
        return None
    emotion, intensity, statement, repetition, actor = (int(part) for part in match.groups())
    return Recording(path, emotion - 1, intensity, statement, repetition, actor)


def _corpus(recordings: Iterable[Recording], misnamed: Sequence[Path]) -> Corpus:
    ordered = tuple(sorted(recordings, key=lambda recording: (recording.actor, recording.name)))
    present = {recording.name for recording in ordered}
    absent = {actor: [name for name in expected_names(actor) if name not in present] for actor in ACTORS}
    return Corpus(
        ordered,
        tuple(actor for actor, names in absent.items() if names),
        tuple(name for names in absent.values() for name in names),
        tuple(misnamed),
    )


def load_corpus(root: Path, *, allow_missing: bool = False) -> Corpus:
    """Find the recordings, read each to its end, and report the faults of the folder.

    Args:
        root: folder of `Actor_NN/*.{wav,flac}`.
        allow_missing: print the faults and continue without the recordings concerned.

    Raises:
        SerError: Recordings are missing, misnamed or unreadable and `allow_missing` is false, or none can be read.
    """
    corpus = find_recordings(root)
    unreadable = find_unreadable(corpus)
    if unreadable:
        kept = [recording for recording in corpus.recordings if recording.path not in unreadable]
        if not kept:
            raise SerError(f"{root}: none of its recordings can be read, such as {next(iter(unreadable.values()))}")
        corpus = _corpus(kept, corpus.misnamed)
    faults = [*_missing_faults(corpus), *_misnamed_faults(corpus.misnamed), *_unreadable_faults(unreadable)]
    if faults and not allow_missing:
        raise SerError(f"{root}: {'; '.join(faults)}; --allow-missing goes on without")
    for sentence in faults:
        print(f"{root}: {sentence}")
    return corpus


def find_unreadable(corpus: Corpus) -> dict[Path, str]:
    """Read every recording to its end, on all cores; return those that cannot be read, each with the reason."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            reasons = pool.map(_reason, corpus.recordings)
            rows = list(track(zip(corpus.recordings, reasons, strict=True), "reading", len(corpus.recordings)))
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return {recording.path: reason for recording, reason in rows if reason is not None}


def _reason(recording: Recording) -> str | None:
    try:
        read_audio(recording.path)
    except SerError as error:
        return str(error)
    return None


def _missing_faults(corpus: Corpus) -> list[str]:
    if not corpus.absent:
        return []
    present = {recording.actor for recording in corpus.recordings}
    files = [name for name in corpus.absent if int(name[-2:]) in present]
    sentence = (
        f"{len(corpus.recordings)} of 1440 recordings are there, incomplete are the actors {_actors(corpus.missing)}"
    )
    if files and len(present) < len(ACTORS):
        sentence += f", of whom {_actors(sorted(present & set(corpus.missing)))} lack only some"
    if files:
        sentence += f" ({_some(files)})"
    return [sentence, _folds_fault(present)]


def _folds_fault(present: set[int]) -> str:
    """Report whether the five folds are still those of the paper."""
    lacking = [
        f"fold {fold} lacks {kind} actors {_actors(actor for actor in actors if actor not in present)}"
        for kind, folds in (("test", TEST_ACTORS), ("validation", VALIDATION_ACTORS))
        for fold, actors in enumerate(folds, start=1)
        if not present.issuperset(actors)
    ]
    if lacking:
        return f"the five folds no longer hold, figures can't be compared with others: {', '.join(lacking)}"
    return "the five folds still hold, every actor has recordings, but the figures rest on fewer"


def _misnamed_faults(misnamed: Sequence[Path]) -> list[str]:
    names = [f"{path.parent.name}/{path.name}" for path in misnamed]
    if not names:
        return []
    return [
        f"{len(names)} audio file(s) not named as RAVDESS names them, in another actor's folder or there twice: "
        f"{_some(names)}"
    ]


def _unreadable_faults(unreadable: dict[Path, str]) -> list[str]:
    if not unreadable:
        return []
    names = [f"{path.parent.name}/{path.name}" for path in unreadable]
    return [f"{len(names)} recording(s) can't be read: {_some(names)}"]


def _actors(numbers: Iterable[int]) -> str:
    return ", ".join(f"{number:02d}" for number in numbers)


def _some(names: Sequence[str]) -> str:
    """List the first names, and the number of further ones."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
