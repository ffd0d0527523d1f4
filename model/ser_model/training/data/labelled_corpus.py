"""A corpus of labelled recordings of any origin: its recordings, the classes it can express, and its soft targets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ser_model.errors import SerError
from ser_model.labels import LABELS
from ser_model.training.data import corpus as ravdess

Votes = tuple[float, ...]
"""Number of listeners who heard each of the eight labels, in the order of `LABELS`."""


class SoundFile(Protocol):
    """What frames are computed from; recordings of RAVDESS and of any other corpus have it."""

    @property
    def path(self) -> Path:
        """The audio file."""

    @property
    def name(self) -> str:
        """Name, unique within the corpus."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledRecording:
    """One recording of a corpus."""

    path: Path
    name: str
    """Path below the folder of the corpus."""
    speaker: str
    """Name of the speaker after that of the corpus, `CORPUS/SPEAKER`, so that it is unique across corpora."""
    emotion: int | None
    """Index into `LABELS`; `None` for ordinary speech, in which nobody acts."""
    languages: tuple[str, ...] = ()
    sex: str = ""
    """Such as `female`; empty: not known."""
    age: int | None = None
    """In years; `None`: not known."""
    votes: Votes | None = None
    """`None`: no listener was asked."""
    fold: int | None = None
    """The fold that the corpus itself puts the speaker into; `None`: it names none."""

    @property
    def soft_target(self) -> npt.NDArray[np.float32] | None:
        """Share of the listeners who heard each label, shape (8,); `None` if no listener heard one."""
        if self.votes is None or not sum(self.votes):
            return None
        return np.array(self.votes, dtype=np.float32) / np.float32(sum(self.votes))


@dataclass(frozen=True, kw_only=True)
class LabelledCorpus:
    """The recordings of a corpus, in the order of its index."""

    name: str
    root: Path
    recordings: tuple[LabelledRecording, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Number of recordings with each label `other:NAME`, which are not among `recordings`."""
    identity: tuple[str, ...]
    """What the frames of the recordings depend on: names, and whatever changes with the content of the files."""

    def select(self, rows: Iterable[int]) -> LabelledCorpus:
        """Return the corpus with some of its recordings, by their index."""
        kept = list(rows)
        return replace(
            self,
            recordings=tuple(self.recordings[at] for at in kept),
            identity=tuple(self.identity[at] for at in kept),
        )

    @cached_property
    def emotions(self) -> npt.NDArray[np.int64]:
        """Class of every recording, shape (recordings,); -1 for ordinary speech."""
        return np.array([-1 if one.emotion is None else one.emotion for one in self.recordings], dtype=np.int64)

    @cached_property
    def expressible(self) -> npt.NDArray[np.bool_]:
        """Which classes a recording of the corpus can have, shape (8,).

        A corpus without `calm` says nothing about how calm differs from neutral. So a loss for its recordings leaves
        that class out.
        """
        mask = np.zeros(len(LABELS), dtype=np.bool_)
        mask[self.emotions[self.emotions >= 0]] = True
        return mask

    @property
    def speakers(self) -> tuple[str, ...]:
        """Names of the speakers, in the order of their first recording."""
        return tuple(dict.fromkeys(one.speaker for one in self.recordings))

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages that occur, sorted."""
        return tuple(sorted({language for one in self.recordings for language in one.languages}))


def label_ravdess(corpus: ravdess.Corpus, root: Path, name: str = "ravdess") -> LabelledCorpus:
    """Return RAVDESS as a labelled corpus, with the folds of the paper.

    Its recordings keep their names, and so the frames in a cache.
    """
    recordings = tuple(
        LabelledRecording(
            path=one.path,
            name=one.name,
            speaker=f"{name}/{one.actor:02d}",
            emotion=one.emotion,
            languages=("en",),
            sex="male" if one.actor % 2 else "female",
            fold=next(fold for fold, actors in enumerate(ravdess.TEST_ACTORS) if one.actor in actors),
        )
        for one in corpus.recordings
    )
    return LabelledCorpus(
        name=name, root=root, recordings=recordings, identity=tuple(one.name for one in corpus.recordings)
    )


def check_classes(corpora: list[LabelledCorpus], never: Sequence[str] = ()) -> None:
    """Check that corpora together express every class but those that are never given.

    Raises:
        SerError: A class has no recording, or one that is never given has some.
    """
    names = [corpus.name for corpus in corpora]
    covered = np.any([corpus.expressible for corpus in corpora], axis=0) if corpora else np.zeros(len(LABELS), bool)
    empty = [label for label, given in zip(LABELS, covered, strict=True) if not given and label not in never]
    if empty:
        raise SerError(
            f"{', '.join(names)}: no recording is {' or '.join(empty)}; add a corpus with such recordings, or say "
            "--never LABEL for a network that does not know the label"
        )
    spoken = [label for label, given in zip(LABELS, covered, strict=True) if given and label in never]
    if spoken:
        raise SerError(f"--never {spoken[0]}: {', '.join(names)} have recordings with this label")
