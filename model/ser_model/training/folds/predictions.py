"""Predictions of a run for actors that its networks are not trained on: whole utterances and rolling windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ser_model.config import DecisionConfig
from ser_model.training.data.corpus import TEST_ACTORS
from ser_model.training.data.dataset import Dataset
from ser_model.training.data.windowing import cut_windows, update_ends, window_frames
from ser_model.training.folds.jobs import Split
from ser_model.training.folds.run_folder import RunFolder
from ser_model.training.networks.architecture import ResLstmSa
from ser_model.training.networks.inference import Numbers, infer
from ser_model.training.scores import Classes, Logits
from ser_model.types import Frames


class CleanFrames(Protocol):
    """Frames of recordings: a `Dataset`, or a pool of several corpora."""

    @property
    def frames(self) -> list[list[Frames]]:
        """For each recording its versions; the first is clean."""

    @property
    def utterances(self) -> Classes:
        """Number of utterances in each clean recording, shape (recordings,)."""

    @property
    def voiced(self) -> list[Classes]:
        """For each recording the number of voiced samples up to the end of each frame."""


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Predictions for utterances or windows."""

    owner: Classes
    """Index of the recording, shape (n,)."""
    logits: Logits
    """Shape (n, 8)."""
    embeddings: Numbers
    """Shape (n, hidden)."""
    voiced: Classes
    """Number of voiced samples up to the end of each, shape (n,)."""

    def where(self, chosen: npt.NDArray[np.bool_]) -> Predictions:
        """Select by a mask of shape (n,)."""
        return Predictions(self.owner[chosen], self.logits[chosen], self.embeddings[chosen], self.voiced[chosen])

    def shifted(self, bias: npt.NDArray[np.float64]) -> Predictions:
        """Add a bias of shape (8,) to the logits."""
        return replace(self, logits=(self.logits + bias).astype(np.float32))

    @classmethod
    def join(cls, parts: Sequence[Predictions]) -> Predictions:
        """Concatenate in order."""
        return cls(
            np.concatenate([part.owner for part in parts]),
            np.concatenate([part.logits for part in parts]),
            np.concatenate([part.embeddings for part in parts]),
            np.concatenate([part.voiced for part in parts]),
        )


def predict_recordings(
    network: ResLstmSa,
    dataset: CleanFrames,
    index: Classes,
    window_ms: int | None = None,
    update_ms: int | None = None,
    full: bool = False,
) -> Predictions:
    """Predict recordings in which the gate found exactly one utterance.

    Args:
        network: the network.
        dataset: the frames of the recordings.
        index: indices of the recordings.
        window_ms: predict windows of this length at each update of the live path; `None`: whole utterances.
        update_ms: duration between two updates; `None`: that of the live path.
        full: leave out windows that are shorter because the utterance has just begun.
    """
    owner: list[int] = []
    voiced: list[int] = []
    pieces: list[Frames] = []
    update = DecisionConfig().update_ms if update_ms is None else update_ms
    for at in index[dataset.utterances[index] == 1].tolist():
        frames = dataset.frames[at][0]
        ends = [len(frames)] if window_ms is None else update_ends(len(frames), update)
        if full and window_ms is not None:
            ends = [end for end in ends if end >= window_frames(window_ms)]
        pieces += [frames] if window_ms is None else cut_windows(frames, window_ms, ends)
        owner += [at] * len(ends)
        voiced += [int(dataset.voiced[at][end - 1]) for end in ends]
    return Predictions(np.array(owner, dtype=np.int64), *infer(network, pieces), np.array(voiced, dtype=np.int64))


def out_of_fold(
    run: RunFolder, dataset: Dataset, seed: int, split: Split, window_ms: int | None = None, full: bool = False
) -> tuple[Predictions, ...]:
    """For each fold the predictions of one seed's network for its `test` or `validation` actors."""
    networks = run.networks(seed, split)
    return tuple(predict_recordings(network, dataset, index, window_ms, full=full) for network, index in networks)


def excluded_speakers(run: RunFolder, predictions: Predictions, fold: int) -> Predictions:
    """Leave out the test actors of a fold: they must not choose what they are evaluated with."""
    return predictions.where(~np.isin(run.actors[predictions.owner], TEST_ACTORS[fold]))
