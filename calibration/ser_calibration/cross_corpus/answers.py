"""The answers of a run's networks for corpora that each of them never heard."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from rich.progress import track

from ser_model.labels import LABELS
from ser_model.training.calibration_files import WINDOW_MS
from ser_model.training.corpora.corpora_run import CorporaRun
from ser_model.training.corpora.held_out import HeldOut, divide_all, load_network
from ser_model.training.corpora.recording_pool import Mask, RecordingPool
from ser_model.training.folds.predictions import Predictions, predict_recordings
from ser_model.training.scores import Classes


@dataclass(frozen=True, eq=False)
class HeldOutAnswers:
    """Predictions for recordings that the gate takes for exactly one utterance, by networks that never heard them."""

    pool: RecordingPool
    seeds: Sequence[int]
    whole: Sequence[Predictions]
    """For each seed, predictions for whole utterances."""
    windows: Sequence[Predictions]
    """For each seed, predictions for windows at each update of the live path."""

    def shifted(self, bias: npt.NDArray[np.float64]) -> HeldOutAnswers:
        """Add a bias of shape (8,) to all logits."""
        whole, windows = ([one.shifted(bias) for one in kind] for kind in (self.whole, self.windows))
        return replace(self, whole=whole, windows=windows)

    def kinds(self) -> tuple[Predictions, Predictions]:
        """Predictions of all seeds together: whole utterances, and windows."""
        return Predictions.join(self.whole), Predictions.join(self.windows)


def answer_held_out(run: CorporaRun, pool: RecordingPool, networks: Sequence[Sequence[HeldOut]]) -> HeldOutAnswers:
    """Let networks answer for what is held out from them.

    Args:
        run: the run.
        pool: its recordings.
        networks: for each seed the networks that together answer for every recording once.

    Raises:
        SerError: A network is not trained.
    """
    folds = divide_all(pool.corpora)
    jobs = [(at, one) for at, own in enumerate(networks) for one in own]
    whole: list[list[Predictions]] = [[] for _ in networks]
    windows: list[list[Predictions]] = [[] for _ in networks]
    for at, one in track(jobs, "answers for who is held out"):
        network = load_network(run.output, one, run.config.variant)
        index = np.flatnonzero(one.rows(pool, folds))
        whole[at].append(predict_recordings(network, pool, index))
        windows[at].append(predict_recordings(network, pool, index, WINDOW_MS))
    return HeldOutAnswers(
        pool, [own[0].seed for own in networks], [_join(own) for own in whole], [_join(own) for own in windows]
    )


def _join(parts: Iterable[Predictions]) -> Predictions:
    return Predictions.join(list(parts))


@dataclass(frozen=True, eq=False)
class Evidence:
    """Predictions for acted recordings, with what counts as right, and the weight of each."""

    predictions: Predictions
    accepted: Mask
    """Labels that are right, shape (n, 8)."""
    corpus: Classes
    """Index of the corpus, shape (n,)."""
    weights: npt.NDArray[np.float64]
    """Weights with the sum 1; every corpus has the same. Shape (n,)."""
    balanced: npt.NDArray[np.float64]
    """The same, and every class of a corpus has the same too."""

    @classmethod
    def of(cls, pool: RecordingPool, predictions: Predictions, left_out: Sequence[str] = ()) -> Evidence:
        """Take the predictions for acted recordings.

        Args:
            pool: the recordings.
            predictions: the predictions.
            left_out: names of corpora that are left out.
        """
        corpus = pool.corpus[predictions.owner]
        out = [at for at, one in enumerate(pool.corpora) if one.name in left_out]
        kept = (pool.emotions[predictions.owner] >= 0) & ~np.isin(corpus, out)
        chosen, corpus = predictions.where(kept), corpus[kept]
        classes = corpus * len(LABELS) + pool.emotions[chosen.owner]
        by_class, by_corpus = _even(classes), _even(corpus)
        # Every class of a corpus has the same share of the corpus, and every corpus of the whole.
        balanced = by_class / np.bincount(corpus, by_class, len(pool.corpora))[corpus]
        return cls(chosen, pool.accepted[chosen.owner], corpus, by_corpus, balanced / max(balanced.sum(), 1e-12))


def _even(groups: Classes) -> npt.NDArray[np.float64]:
    """Weights with the sum 1 of which every group has the same, shape as given."""
    names, own, counts = np.unique(groups, return_inverse=True, return_counts=True)
    return np.asarray(1 / (counts[own] * max(len(names), 1)))
