"""Teachers: networks that each know one corpus less, whose answers soften what a network learns (Hinton et al. 2015).

A label says nothing about how sure a stranger can be of it. A network that never heard a corpus answers its recordings
as it would answer strangers. So the mean posterior of networks that are each blind to another corpus is part of the
target. No teacher hears what its student must not hear.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from ser_model.labels import LABELS
from ser_model.training.corpora.held_out import HeldOut
from ser_model.training.corpora.recording_pool import RecordingPool, TargetConfig
from ser_model.training.scores import posterior

TEACHER_SEED: Final = 0
"""Seed of all teachers: students of other seeds learn from the same ones."""


def teachers_of(student: HeldOut, pool: RecordingPool, config: TargetConfig) -> list[HeldOut]:
    """Return the teachers of a network: each is trained without one corpus more."""
    if not config.teachers or student.teacher_without:
        return []
    learned = [
        corpus.name
        for at, corpus in enumerate(pool.corpora)
        if (pool.learned(config) & (pool.corpus == at)).any() and corpus.name != student.corpus
    ]
    acted = [corpus.name for corpus in pool.corpora if corpus.name in learned and (corpus.emotions >= 0).any()]
    # A corpus that nobody learns from needs no teacher of its own.
    heard = student.corpus is not None and student.corpus not in config.only_measured
    own = [student.corpus] if heard and student.corpus is not None else []
    if len(acted) < 2:
        return []
    return [HeldOut(TEACHER_SEED, student.fold, None, tuple(sorted({*own, name}))) for name in acted]


def mean_posterior(
    teachers: Sequence[HeldOut], pool: RecordingPool, config: TargetConfig, folder: Path
) -> npt.NDArray[np.float32]:
    """Return the mean posterior of trained teachers, shape (recordings, 8); zeros where the gate found nothing."""
    total = np.zeros((len(pool.emotions), len(LABELS)), dtype=np.float32)
    for one in teachers:
        with np.load(folder / f"{one.name}.npz") as file:
            total[file["index"]] += posterior(file["logits"]) * _known_classes(one, pool, config)
    return np.asarray(total / max(len(teachers), 1), dtype=np.float32)


def _known_classes(teacher: HeldOut, pool: RecordingPool, config: TargetConfig) -> npt.NDArray[np.bool_]:
    """Classes that a teacher learned, shape (8,); what it says of others means nothing."""
    out = (*teacher.teacher_without, *config.only_measured)
    known = [corpus.expressible for corpus in pool.corpora if corpus.name not in out]
    return np.asarray(np.any(known, axis=0))
