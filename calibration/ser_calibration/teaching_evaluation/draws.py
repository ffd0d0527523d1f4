"""Draws of the examples that a speaker teaches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ser_calibration.teaching_evaluation.listeners import Listener
from ser_model.labels import LABELS
from ser_model.training.scores import Classes

DRAWS: Final = 3
"""Draws of the examples of each speaker."""
FEWEST: Final = 24
"""Utterances that a speaker needs to be measured."""
FEWEST_LABELS: Final = 4
"""Labels that a speaker needs, likewise."""

_NEUTRAL: Final = (LABELS.index("neutral"), LABELS.index("calm"))


@dataclass(frozen=True, eq=False)
class Draw:
    """A speaker, and a random order of the utterances of each label."""

    speaker: str
    number: int
    """Of the draw, from 0."""
    order: dict[int, Classes]
    """By label, rows of the listener."""
    rng: np.random.Generator

    @property
    def labels(self) -> list[int]:
        """Labels of the speaker."""
        return list(self.order)

    @property
    def rows(self) -> Classes:
        """All rows of the speaker."""
        return np.concatenate(list(self.order.values()))

    def examples(self, count: int, labels: list[int] | None = None) -> Classes:
        """Return `count` examples of each label, or all but one where there are fewer."""
        wanted = self.labels if labels is None else labels
        return np.concatenate([own[: min(count, len(own) - 1)] for label, own in self.order.items() if label in wanted])

    def some_labels(self, count: int) -> list[int]:
        """Return neutral, or calm where there is no neutral, and others at random."""
        first = [label for label in self.labels if label in _NEUTRAL][:1]
        others = self.rng.permutation([label for label in self.labels if label not in first])
        return sorted([*first, *others[: count - len(first)].tolist()])

    def mislabel(self, truth: Classes, share: float) -> Classes:
        """Return labels of which a share is wrong, shape as given."""
        labels: Classes = truth.copy()
        for at in self.rng.permutation(len(labels))[: round(share * len(labels))].tolist():
            labels[at] = self.rng.choice([label for label in self.labels if label != labels[at]])
        return labels


def draw_speakers(listener: Listener) -> Iterator[Draw]:
    """Yield the draws of all speakers with enough utterances; the same for every seed."""
    for speaker in np.unique(listener.speakers).tolist():
        rows = np.flatnonzero(listener.speakers == speaker)
        counts = np.bincount(listener.truth[rows], minlength=len(LABELS))
        labels = [label for label in range(len(LABELS)) if counts[label] > 1]
        if len(rows) < FEWEST or len(labels) < FEWEST_LABELS:
            continue
        for number in range(DRAWS):
            rng = np.random.default_rng([number, *str(speaker).encode()])
            order = {label: rng.permutation(rows[listener.truth[rows] == label]) for label in labels}
            yield Draw(str(speaker), number, order, rng)


def recall(truth: Classes, answers: Classes, labels: list[int]) -> float:
    """Unweighted average recall over those of `labels` that occur."""
    return float(np.mean([np.mean(answers[truth == label] == label) for label in labels if np.any(truth == label)]))


def best_of(logits: npt.NDArray[np.float32], labels: list[int]) -> Classes:
    """Return the best of some labels for each row of logits, shape (n,)."""
    return np.asarray(np.array(labels)[logits[:, labels].argmax(axis=1)], dtype=np.int64)


def is_strong(name: str) -> bool | None:
    """Whether a recording is acted strongly, by its name in RAVDESS or CREMA-D; `None`: its name doesn't say so."""
    stem = name.rsplit("/", 1)[-1].split(".")[0]
    if stem.count("-") == 6:
        return {"01": False, "02": True}.get(stem.split("-")[3])
    if stem.count("_") == 3:
        return {"HI": True, "LO": False}.get(stem.split("_")[3])
    return None
