"""The protocol of arXiv 2606.03359: its features, networks and folds, and the best epoch of each network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import track
from torch import Tensor

from ser_model.training.data.corpus import TEST_ACTORS, VALIDATION_ACTORS, Corpus, Recording
from ser_model.training.data.dataset import FILE_FORMAT, Dataset, RecordingFrames, load, save
from ser_model.training.networks.batched import BatchedNetworks
from ser_model.training.networks.fit import fit
from ser_model.training.networks.fit_config import Device, FitConfig
from ser_model.training.networks.frame_store import FrameStore
from ser_model.training.networks.training_step import Task
from ser_model.training.processes import new_pool
from ser_model.training.scores import Classes, Logits, uar
from ser_model.types import Frames

RATE, NFFT, HOP, MFCC = 48_000, 4096, 2048, 34
"""Sampling rate in Hz, frame and hop in samples (85 and 43 ms), cepstral coefficients."""

RECIPE = FitConfig(
    epochs=100,
    restart_epochs=5,
    batch=16,
    learning_rate=0.01435,
    l2=0.00211,
    dropout=0.126,
    label_smoothing=0.0,
    hard_share=1.0,
    balanced=False,
    clean_share=1.0,
    level_db=0.0,
    tempo=0.0,
    offset=0.0,
    jitter=0.0,
    crop_share=0.0,
)
"""Plain cross-entropy on unchanged recordings. Rate, L2, dropout, batch and cycle are the best of 48 trials of
`ser-model tune --recipe paper` with ResLSTM-SA h64, by validation actors."""


@dataclass(frozen=True, slots=True)
class Published:
    """A row of the paper's table: UAR over ten seeds."""

    title: str
    variant: str
    residual: bool
    mean: float
    std: float
    max: float

    @property
    def name(self) -> str:
        """Such as `reslstm-sa-h64`."""
        return f"{'reslstm' if self.residual else 'lstm'}-sa-{self.variant}"


TABLE = (
    Published("LSTM-SA h32", "h32", False, 0.5352, 0.0123, 0.5547),
    Published("LSTM-SA h64", "h64", False, 0.5751, 0.0108, 0.5996),
    Published("LSTM-SA h128", "h128", False, 0.5895, 0.0076, 0.6022),
    Published("ResLSTM-SA h32", "h32", True, 0.6130, 0.0111, 0.6315),
    Published("ResLSTM-SA h64", "h64", True, 0.6232, 0.0119, 0.6517),
    Published("ResLSTM-SA h128", "h128", True, 0.6107, 0.0134, 0.6348),
)


def features(recording: Recording) -> Frames:
    """34 MFCC and 12 chroma per frame of the whole recording at 48 kHz, by librosa's defaults, shape (time, 46)."""
    import librosa

    samples, _ = librosa.load(recording.path, sr=RATE, mono=True)
    cepstra = librosa.feature.mfcc(y=samples, sr=RATE, n_mfcc=MFCC, n_fft=NFFT, hop_length=HOP)
    chroma = librosa.feature.chroma_stft(y=samples, sr=RATE, n_fft=NFFT, hop_length=HOP)
    return np.concatenate((cepstra, chroma)).T.astype(np.float32)


def frames(corpus: Corpus, cache: Path, workers: int | None = None) -> Dataset:
    """Compute the features of all recordings, or read them from `cache`."""
    key = json.dumps([[recording.name for recording in corpus.recordings], RATE, NFFT, HOP, MFCC, FILE_FORMAT])
    path = cache / f"paper-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"
    if not path.exists():
        with new_pool(workers) as pool:
            steps = pool.imap(features, corpus.recordings, chunksize=8)
            rows = list(track(steps, "features at 48 kHz", len(corpus.recordings)))
        save(path, [RecordingFrames([row], 1, np.zeros(0, dtype=np.int64)) for row in rows])
    return load(path, corpus)


@dataclass(slots=True)
class BestEpochPredictions:
    """Logits of the five networks of a seed, each at its best epoch."""

    validation: Logits
    """For validation actors, fold by fold, shape (600, 8)."""
    test: Logits
    """For every recording as a test recording, at the best epoch on the validation actors, shape (1440, 8)."""
    peeked: Logits
    """The same at the best epoch on the test actors themselves: what scoring on the test folds would claim."""


def rows_of(actors: Classes, chosen: Sequence[Sequence[int]]) -> list[npt.NDArray[np.int64]]:
    """For each fold the indices of the recordings of its actors."""
    return [np.flatnonzero(np.isin(actors, own)) for own in chosen]


def cross_validate(
    dataset: Dataset,
    configs: Sequence[FitConfig],
    seeds: Sequence[int],
    device: Device = "cpu",
    every: int = 1,
    after_evaluation: Callable[[int, list[float]], None] = lambda epoch, scores: None,
) -> list[BestEpochPredictions]:
    """Train five folds for each pair of a recipe and a seed, all at once.

    Args:
        dataset: at least one version of each recording.
        configs: recipes with the same variant, residual, epochs and batch.
        seeds: one for each recipe.
        device: `cpu` or `cuda`.
        every: epochs between two evaluations.
        after_evaluation: called with the epoch and the UAR of each pair on the validation actors, pooled over folds.

    Returns:
        the predictions of each pair
    """
    truth = np.array([recording.emotion for recording in dataset.recordings])
    actors = np.array([recording.actor for recording in dataset.recordings])
    store = FrameStore(dataset.frames, device)
    test, validation = rows_of(actors, TEST_ACTORS), rows_of(actors, VALIDATION_ACTORS)
    train = [np.setdiff1d(np.arange(len(truth)), [*own, *other]) for own, other in zip(test, validation, strict=True)]
    tasks = [Task(seed, own, config) for config, seed in zip(configs, seeds, strict=True) for own in train]
    best = _BestEpochs(store, truth, validation, test, len(configs))

    def after_epoch(epoch: int, batched: BatchedNetworks, losses: Tensor) -> None:
        if epoch % every == 0 or epoch == configs[0].epochs:
            after_evaluation(epoch, best.update(batched))

    fit(store, truth, tasks, after_epoch)
    return best.predictions


class _BestEpochs:
    """Keeps the logits of each network at its best epoch on its validation actors, and on its test actors."""

    def __init__(
        self,
        store: FrameStore,
        truth: Classes,
        validation: list[npt.NDArray[np.int64]],
        test: list[npt.NDArray[np.int64]],
        pairs: int,
    ) -> None:
        self._store, self._truth, self._validation, self._test = store, truth, validation, test
        both = [np.concatenate(own) for own in zip(validation, test, strict=True)]
        width = max(len(own) for own in both)
        self._rows = np.stack([np.resize(own, width) for own in both] * pairs)
        count = len(self._rows)
        self._best, self._best_peeked = np.full(count, -1.0), np.full(count, -1.0)
        starts = np.cumsum([0, *(len(own) for own in validation)])
        self._places = [np.arange(start, start + len(own)) for start, own in zip(starts[:-1], validation, strict=True)]
        shape = (int(starts[-1]), 8), (len(truth), 8), (len(truth), 8)
        self.predictions = [
            BestEpochPredictions(*(np.zeros(size, dtype=np.float32) for size in shape)) for _ in range(pairs)
        ]

    def update(self, batched: BatchedNetworks) -> list[float]:
        """Evaluate the present networks; return the UAR of each pair on the validation actors, pooled over folds."""
        logits = batched.predict(self._store, self._rows).numpy()
        classes: list[list[Classes]] = [[] for _ in self.predictions]
        for network, own in enumerate(logits):
            pair, fold = divmod(network, len(self._test))
            kept, count = self.predictions[pair], len(self._validation[fold])
            on_validation, on_test = own[:count], own[count : count + len(self._test[fold])]
            classes[pair].append(on_validation.argmax(axis=1))
            score = uar(self._truth[self._validation[fold]], classes[pair][-1])
            if score > self._best[network]:
                self._best[network] = score
                kept.validation[self._places[fold]] = on_validation
                kept.test[self._test[fold]] = on_test
            peeked = uar(self._truth[self._test[fold]], on_test.argmax(axis=1))
            if peeked > self._best_peeked[network]:
                self._best_peeked[network] = peeked
                kept.peeked[self._test[fold]] = on_test
        truth = self._truth[np.concatenate(self._validation)]
        return [uar(truth, np.concatenate(rows)) for rows in classes]


def recipe(row: Published, **changes: float) -> FitConfig:
    """Return the paper's recipe for one of its networks."""
    return replace(RECIPE, variant=row.variant, residual=row.residual, **changes)  # type: ignore[arg-type]


def set_threads() -> None:
    """Use one thread per process, as the processes share the cores."""
    torch.set_num_threads(1)
