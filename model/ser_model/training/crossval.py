"""Cross-validation over the five folds, resumable: one file per network.

Each fold and seed gets two networks. The one that answers for the *validation* actors has heard neither them nor the
test actors; settings, temperature and threshold are chosen by its answers. The one that answers for the *test* actors
has heard all others, the validation actors too: by then everything has been chosen.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ser_model.errors import SerError
from ser_model.training.architecture import VARIANTS, ResLstmSa
from ser_model.training.corpus import TEST_ACTORS, VALIDATION_ACTORS
from ser_model.training.dataset import Dataset
from ser_model.training.fit import Example, FitConfig, fit, predict
from ser_model.training.scores import MISSED, Classes, Logits

FOLDS = range(len(TEST_ACTORS))
SPLITS = ("validation", "test")

_dataset: Dataset
_epochs: Synchronized[int]


@dataclass(frozen=True, slots=True)
class Job:
    """One network to train."""

    seed: int
    fold: int
    """0 to 4."""
    split: str
    """Whom it answers for: `validation` or `test`; `final`: trained on every actor, to be shipped."""

    @property
    def name(self) -> str:
        """Stem of its files."""
        return f"seed{self.seed}-final" if self.split == "final" else f"seed{self.seed}-fold{self.fold}-{self.split}"

    @property
    def answers_for(self) -> tuple[int, ...]:
        """Actors on whom it is measured."""
        return {"validation": VALIDATION_ACTORS[self.fold], "test": TEST_ACTORS[self.fold], "final": ()}[self.split]

    @property
    def may_not_hear(self) -> tuple[int, ...]:
        """Actors it is not trained on."""
        return () if self.split == "final" else (*self.answers_for, *TEST_ACTORS[self.fold])


FINAL = Job(0, 0, "final")
"""The network that is shipped."""


def open_run(folder: Path, settings: dict[str, Any]) -> None:
    """Create a run's folder, or go on in one that was begun with the same settings.

    Raises:
        SerError: the folder belongs to a run with other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "settings.json"
    text = json.dumps(settings, indent=2)
    if path.exists() and path.read_text() != text:
        raise SerError(f"{folder} holds a run with other settings (see {path}); name another --output, or remove it")
    path.write_text(text)


def run(dataset: Dataset, config: FitConfig, jobs: Sequence[Job], folder: Path, workers: int | None = None) -> None:
    """Train what is not there yet, a process per core, with a bar that counts epochs."""
    todo = [job for job in jobs if not (folder / f"{job.name}.npz").exists()]
    context = get_context("spawn")
    epochs = context.Value("l", 0)
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("epochs"),
        TimeRemainingColumn(),
    )
    with (
        Progress(*columns) as bar,
        context.Pool(workers or os.cpu_count(), _start_worker, (dataset, epochs)) as pool,
    ):
        task = bar.add_task("training", total=len(todo) * config.epochs)
        result = pool.map_async(partial(_train, config=config, folder=folder), todo, chunksize=1)
        while not result.ready():
            result.wait(0.5)
            bar.update(task, completed=epochs.value)
        result.get()


def _start_worker(dataset: Dataset, epochs: Synchronized[int]) -> None:
    import torch

    global _dataset, _epochs
    _dataset, _epochs = dataset, epochs
    torch.set_num_threads(1)


def _train(job: Job, config: FitConfig, folder: Path) -> None:
    import torch

    began = time.perf_counter()
    examples = [
        Example(versions, recording.emotion)
        for recording, versions in zip(_dataset.recordings, _dataset.frames, strict=True)
        if recording.actor not in job.may_not_hear and versions
    ]
    network = fit(examples, config, job.seed, _count_epoch)
    torch.save(network.state_dict(), folder / f"{job.name}.partial")
    (folder / f"{job.name}.partial").replace(folder / f"{job.name}.pt")
    _answer(network, job, _dataset, folder, time.perf_counter() - began)


def _answer(network: ResLstmSa, job: Job, dataset: Dataset, folder: Path, seconds: float) -> None:
    """Write what a network says about the actors it answers for."""
    heard = dataset.utterances == 1
    index = [i for i, row in enumerate(dataset.recordings) if heard[i] and row.actor in job.answers_for]
    logits = predict(network, [dataset.frames[i][0] for i in index])
    path = folder / f"{job.name}.npz"
    partial_path = path.with_suffix(".partial.npz")
    np.savez(partial_path, index=np.array(index, dtype=np.int64), logits=logits, seconds=seconds)
    partial_path.replace(path)


def answer_again(dataset: Dataset, variant: str, jobs: Sequence[Job], folder: Path) -> None:
    """Let the trained networks answer for the recordings as the gate cuts them now."""
    import torch

    for job in jobs:
        network = ResLstmSa(VARIANTS[variant])
        network.load_state_dict(torch.load(folder / f"{job.name}.pt", weights_only=True))
        with np.load(folder / f"{job.name}.npz") as file:
            seconds = float(file["seconds"])
        _answer(network, job, dataset, folder, seconds)


def _count_epoch() -> None:
    with _epochs.get_lock():
        _epochs.value += 1


@dataclass(frozen=True, slots=True)
class Predictions:
    """Logits of one seed, pooled over the folds."""

    index: Classes
    """Recordings that the gate heard as exactly one utterance, shape (n,)."""
    logits: Logits
    """Shape (n, 8)."""

    def classes(self, recordings: int) -> Classes:
        """Predicted class of every recording, MISSED where the gate didn't hear exactly one utterance."""
        out = np.full(recordings, MISSED, dtype=np.int64)
        out[self.index] = self.logits.argmax(axis=1)
        return out


def pooled(folder: Path, seed: int, split: str) -> Predictions:
    """Read one seed's answers for the `test` or the `validation` actors of all five folds.

    Raises:
        SerError: a fold has not been trained.
    """
    index, logits = [], []
    for fold in FOLDS:
        path = folder / f"{Job(seed, fold, split).name}.npz"
        if not path.exists():
            raise SerError(f"{path} is missing: run `ser-model train` with the same --output to finish the run")
        with np.load(path) as file:
            index.append(file["index"])
            logits.append(file["logits"])
    return Predictions(np.concatenate(index), np.concatenate(logits))
