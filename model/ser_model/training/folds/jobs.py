"""Which networks a cross-validation consists of, and whom each may hear.

Each fold and seed gets two networks. The one that answers for the *validation* actors has heard neither them nor the
test actors; settings, temperature and threshold are chosen by its answers. The one that answers for the *test* actors
has heard all others, the validation actors too: by then everything has been chosen.

Before them come *teachers*: the actors that a network may hear are parted in four, and networks that hear three parts
say what they think of the fourth. A network then learns from the label and from what its teachers thought of a voice
new to them (Hinton et al. 2015, arXiv 1503.02531, with teachers that never heard what they teach).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ser_model.training.data.corpus import ACTORS, TEST_ACTORS, VALIDATION_ACTORS

FOLDS = range(len(TEST_ACTORS))
SPLITS = ("validation", "test")
PARTS = 4
"""How many parts the actors are parted in for the teachers."""
TEACHERS = 2
"""Teachers of each part, of different seeds."""


@dataclass(frozen=True, slots=True)
class Job:
    """One network to train."""

    seed: int
    fold: int
    """0 to 4; for the split `actor` 0 to 23."""
    split: str
    """Whom it answers for: `validation` or `test` actors, or a single `actor`; `final`: trained on every actor."""
    part: int | None = None
    """For a teacher, the part that it doesn't hear and answers for."""

    @property
    def name(self) -> str:
        """Stem of its files."""
        stem = f"seed{self.seed}-final" if self.split == "final" else f"seed{self.seed}-fold{self.fold}-{self.split}"
        return stem if self.part is None else f"teacher-{stem}-part{self.part}"

    @property
    def evaluated_speakers(self) -> tuple[int, ...]:
        """Actors on whom it is measured."""
        return self._own if self.part is None else self._parts()[self.part]

    @property
    def held_out_speakers(self) -> tuple[int, ...]:
        """Actors it is not trained on."""
        return self._kept if self.part is None else (*self._kept, *self._parts()[self.part])

    @property
    def teachers(self) -> list[Job]:
        """Networks that must be there before this one."""
        if self.part is not None or self.split == "actor":
            return []
        return [Job(seed, self.fold, self.split, part) for seed in range(TEACHERS) for part in range(PARTS)]

    @property
    def _own(self) -> tuple[int, ...]:
        match self.split:
            case "validation":
                return VALIDATION_ACTORS[self.fold]
            case "test":
                return TEST_ACTORS[self.fold]
            case "actor":
                return (ACTORS[self.fold],)
        return ()

    @property
    def _kept(self) -> tuple[int, ...]:
        """Neither network nor teachers may hear these."""
        return (*self._own, *TEST_ACTORS[self.fold]) if self.split == "validation" else self._own

    def _parts(self) -> list[tuple[int, ...]]:
        heard = [actor for actor in ACTORS if actor not in self._kept]
        order = np.random.default_rng(self.fold).permutation(len(heard))
        return [tuple(heard[at] for at in order[part::PARTS]) for part in range(PARTS)]


FINAL = Job(0, 0, "final")
"""The network that is shipped."""
