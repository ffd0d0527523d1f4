"""RAVDESS on disk: which recordings there are, and the folds of the paper."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

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
"""Actors that choose epochs and settings, fold by fold; each is a test actor of another fold."""

NEVER_VALIDATING: frozenset[int] = frozenset(ACTORS) - {a for actors in VALIDATION_ACTORS for a in actors}
"""The 14 actors that choose nothing in any fold."""

_NAME = re.compile(r"03-01-(0[1-8])-(0[12])-(0[12])-(0[12])-([0-2]\d)\.(?:wav|flac)")


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
        """The name without its ending."""
        return self.path.stem


@dataclass(frozen=True, slots=True)
class Corpus:
    """What a folder holds."""

    recordings: tuple[Recording, ...]
    missing: tuple[int, ...]
    """Actors with fewer than 60 recordings."""


def find_recordings(root: Path) -> Corpus:
    """List the recordings below `root`, a folder of `Actor_NN/*.{wav,flac}`, in a fixed order.

    Raises:
        SerError: the folder isn't there, or holds no recording named as RAVDESS names them.
    """
    if not root.is_dir():
        raise SerError(f"{root}: expected the RAVDESS folder (Actor_01 ... Actor_24), found no such folder")
    recordings = []
    for path in sorted(root.glob("Actor_*/*")):
        match = _NAME.fullmatch(path.name)
        if match:
            emotion, intensity, statement, repetition, actor = (int(part) for part in match.groups())
            recordings.append(Recording(path, emotion - 1, intensity, statement, repetition, actor))
    if not recordings:
        raise SerError(
            f"{root}: found no recording; expected Actor_NN/03-01-*.wav or .flac, as in Audio_Speech_Actors_01-24"
        )
    recordings.sort(key=lambda recording: (recording.actor, recording.name))
    counts = {actor: sum(recording.actor == actor for recording in recordings) for actor in ACTORS}
    return Corpus(tuple(recordings), tuple(actor for actor, count in counts.items() if count < PER_ACTOR))
