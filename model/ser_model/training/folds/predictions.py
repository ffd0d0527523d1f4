"""What a run's networks say about speech of actors whom they have not heard: whole utterances, and rolling windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from ser_model.config import DecisionConfig
from ser_model.training.data.corpus import TEST_ACTORS
from ser_model.training.data.dataset import Dataset
from ser_model.training.data.windowing import cut_windows, update_ends, window_frames
from ser_model.training.folds.run_folder import RunFolder
from ser_model.training.networks.architecture import ResLstmSa
from ser_model.training.networks.fit import pad
from ser_model.training.scores import Classes, Logits
from ser_model.types import Frames

Numbers = npt.NDArray[np.float32]

_BATCH = 64


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Answers for utterances or windows."""

    owner: Classes
    """Index of the recording, shape (n,)."""
    logits: Logits
    """Shape (n, 8)."""
    embeddings: Numbers
    """Shape (n, hidden)."""
    voiced: Classes
    """Samples that were voiced by the end of each, shape (n,)."""

    def where(self, chosen: npt.NDArray[np.bool_]) -> Predictions:
        """Only some of them, by a mask of shape (n,)."""
        return Predictions(self.owner[chosen], self.logits[chosen], self.embeddings[chosen], self.voiced[chosen])

    @classmethod
    def join(cls, parts: Sequence[Predictions]) -> Predictions:
        """All of several, in order."""
        return cls(
            np.concatenate([part.owner for part in parts]),
            np.concatenate([part.logits for part in parts]),
            np.concatenate([part.embeddings for part in parts]),
            np.concatenate([part.voiced for part in parts]),
        )


@torch.no_grad()
def infer(network: ResLstmSa, sequences: Sequence[Frames]) -> tuple[Numbers, Numbers]:
    """Logits, shape (n, 8), and embeddings, shape (n, hidden), of frames of any lengths."""
    network.eval()
    logits, embeddings = [np.zeros((0, 8), np.float32)], [np.zeros((0, network.hidden), np.float32)]
    for at in range(0, len(sequences), _BATCH):
        outcome = network(*pad(sequences[at : at + _BATCH]))
        logits.append(outcome.logits.numpy())
        embeddings.append(outcome.embedding.numpy())
    return np.concatenate(logits), np.concatenate(embeddings)


def predict_recordings(
    network: ResLstmSa,
    dataset: Dataset,
    index: Classes,
    window_ms: int | None = None,
    update_ms: int | None = None,
    full: bool = False,
) -> Predictions:
    """Answers for recordings that the gate heard as one utterance.

    Args:
        network: who answers.
        dataset: their frames.
        index: of the recordings.
        window_ms: judge the windows of this length behind each update of the live path; None: whole utterances.
        update_ms: speech between two updates; None: the live path's own.
        full: leave out the windows that are shorter because the utterance has just begun.
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
    run: RunFolder, dataset: Dataset, seed: int, split: str, window_ms: int | None = None, full: bool = False
) -> tuple[Predictions, ...]:
    """For each fold the predictions of one seed's network for its `test` or `validation` actors."""
    networks = run.networks(seed, split)
    return tuple(predict_recordings(network, dataset, index, window_ms, full=full) for network, index in networks)


def excluded_speakers(run: RunFolder, judged: Predictions, fold: int) -> Predictions:
    """Leave out what was said by the fold's test actors: who is measured may choose nothing."""
    return judged.where(~np.isin(run.actors[judged.owner], TEST_ACTORS[fold]))
