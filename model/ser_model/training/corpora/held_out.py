"""The networks of a run on several corpora, and who is held out from each."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch

from ser_model.errors import SerError
from ser_model.training.corpora.recording_pool import Mask, RecordingPool
from ser_model.training.data.labelled_corpus import LabelledCorpus
from ser_model.training.data.speaker_folds import Folds, divide_speakers
from ser_model.training.networks.architecture import VARIANTS, ResLstmSa

FOLDS: Final = 5


@dataclass(frozen=True, slots=True)
class HeldOut:
    """One network: a seed, and a fold of every corpus or a whole corpus that it is not trained on."""

    seed: int
    fold: int | None = None
    """Number of the fold from 0; the speakers of this fold of every corpus are held out."""
    corpus: str | None = None
    """Name of the corpus that is held out. Neither: the final network, trained on everything."""
    teacher_without: tuple[str, ...] = ()
    """Names of corpora that a teacher is not trained on, in their order; empty: it is no teacher."""

    @property
    def name(self) -> str:
        """Stem of the names of its files."""
        who = f"seed{self.seed}" if self.fold is None else f"seed{self.seed}-fold{self.fold}"
        if self.teacher_without:
            return f"{who}-teacher-without-{'+'.join(self.teacher_without)}"
        if self.corpus is not None:
            return f"{who}-without-{self.corpus}"
        return f"{who}-final" if self.fold is None else who

    def rows(self, pool: RecordingPool, folds: Sequence[Folds]) -> Mask:
        """Recordings that are held out, shape (recordings,)."""
        left = self.teacher_without if self.corpus is None else (self.corpus,)
        whole = np.isin(pool.corpus, [at for at, corpus in enumerate(pool.corpora) if corpus.name in left])
        if self.fold is None:
            return whole
        speakers = {speaker for one in folds if self.fold < len(one) for speaker in one[self.fold]}
        return whole | np.isin(pool.speakers, sorted(speakers))


def load_network(folder: Path, one: HeldOut, variant: str) -> ResLstmSa:
    """Read the weights of a network of a run.

    Raises:
        SerError: The network is not trained, or its file is damaged.
    """
    path = folder / f"{one.name}.pt"
    network = ResLstmSa(VARIANTS[variant])
    try:
        network.load_state_dict(torch.load(path, weights_only=True))
    except FileNotFoundError as error:
        raise SerError(f"{path}: is missing; the command that trains it goes on where it was interrupted") from error
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise SerError(f"{path}: is damaged ({error}); remove it and its .npz, and train again") from error
    return network.eval()


def fold_networks(seeds: Iterable[int]) -> list[HeldOut]:
    """Return the networks of all folds for some seeds."""
    return [HeldOut(seed, fold=fold) for seed in seeds for fold in range(FOLDS)]


def corpus_networks(seeds: Iterable[int], corpora: Sequence[LabelledCorpus]) -> list[HeldOut]:
    """Return the networks that each leave out one corpus, for some seeds."""
    return [HeldOut(seed, corpus=corpus.name) for seed in seeds for corpus in corpora]


def divide_all(corpora: Sequence[LabelledCorpus]) -> list[Folds]:
    """Divide the speakers of each corpus into folds.

    Raises:
        SerError: The index of a corpus names too many folds.
    """
    folds = [divide_speakers(corpus, FOLDS, alone=False) for corpus in corpora]
    for corpus, own in zip(corpora, folds, strict=True):
        if len(own) > FOLDS:
            raise SerError(f"{corpus.root}: its index names {len(own)} folds; expected at most {FOLDS}")
    return folds
