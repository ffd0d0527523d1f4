"""The networks of a cross-validation, and the actors that each is trained and evaluated on.

Each fold has two networks per seed. The *validation* network is trained without the validation and the test actors;
its predictions choose settings, temperature and threshold. The *test* network is trained without the test actors only:
at that point everything is chosen.

*Teachers* are trained first. The training actors of a network are divided into four parts, and a teacher is trained on
three of them and predicts the fourth. The network then learns from the labels and from the probabilities of its
teachers (Hinton et al. 2015, arXiv 1503.02531), each of which is new to the voice that it predicts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from ser_model.training.data.corpus import ACTORS, TEST_ACTORS, VALIDATION_ACTORS

FOLDS = range(len(TEST_ACTORS))
Split = Literal["validation", "test", "actor", "final"]

SPLITS: Final[tuple[Split, ...]] = ("validation", "test")
PARTS = 4
"""Number of parts into which the training actors are divided for the teachers."""
TEACHERS = 2
"""Number of teachers of each part, with different seeds."""


@dataclass(frozen=True, slots=True)
class Job:
    """One network to train."""

    seed: int
    fold: int
    """0 to 4; 0 to 23 for the split `actor`."""
    split: Split
    """The actors that it is evaluated on: `validation` or `test` actors, or a single `actor`; `final`: none."""
    part: int | None = None
    """For a teacher, the part that it is not trained on."""

    @property
    def name(self) -> str:
        """Stem of the names of its files."""
        stem = f"seed{self.seed}-final" if self.split == "final" else f"seed{self.seed}-fold{self.fold}-{self.split}"
        return stem if self.part is None else f"teacher-{stem}-part{self.part}"

    @property
    def evaluated_speakers(self) -> tuple[int, ...]:
        """Actors that it is evaluated on."""
        return self._own if self.part is None else self._parts()[self.part]

    @property
    def held_out_speakers(self) -> tuple[int, ...]:
        """Actors that it is not trained on."""
        return self._held_out if self.part is None else (*self._held_out, *self._parts()[self.part])

    @property
    def teachers(self) -> list[Job]:
        """Networks that must be trained before this one."""
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
    def _held_out(self) -> tuple[int, ...]:
        """Actors that neither the network nor its teachers are trained on."""
        return (*self._own, *TEST_ACTORS[self.fold]) if self.split == "validation" else self._own

    def _parts(self) -> list[tuple[int, ...]]:
        trained_on = [actor for actor in ACTORS if actor not in self._held_out]
        order = np.random.default_rng(self.fold).permutation(len(trained_on))
        return [tuple(trained_on[at] for at in order[part::PARTS]) for part in range(PARTS)]


def list_jobs(seeds: Iterable[int]) -> list[Job]:
    """Return the validation and test networks of all folds, for some seeds."""
    return [Job(seed, fold, split) for seed in seeds for split in SPLITS for fold in FOLDS]


FINAL = Job(0, 0, "final")
"""The network that is exported."""
