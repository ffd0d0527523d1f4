"""Cross-validation over the five folds, resumable: one file per fold and seed."""

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
from ser_model.training.corpus import TEST_ACTORS, VALIDATION_ACTORS
from ser_model.training.dataset import Dataset
from ser_model.training.fit import Example, FitConfig, fit, predict
from ser_model.training.scores import MISSED, Classes, Logits

FINAL = -1
"""Stands for a fold: trained on every actor, tested on none; what is shipped."""

_dataset: Dataset
_epochs: Synchronized[int]


@dataclass(frozen=True, slots=True)
class Job:
    """One network to train."""

    seed: int
    fold: int
    """0 to 4, or FINAL."""

    @property
    def name(self) -> str:
        """Stem of its files."""
        return f"seed{self.seed}-{'final' if self.fold == FINAL else f'fold{self.fold}'}"


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
    test = set(TEST_ACTORS[job.fold]) if job.fold != FINAL else set()
    validation = set(VALIDATION_ACTORS[job.fold]) if job.fold != FINAL else set()
    examples = [
        Example(versions, recording.emotion)
        for recording, versions in zip(_dataset.recordings, _dataset.frames, strict=True)
        if recording.actor not in test | validation and versions
    ]
    network = fit(examples, config, job.seed, _count_epoch)
    torch.save(network.state_dict(), folder / f"{job.name}.partial")
    (folder / f"{job.name}.partial").replace(folder / f"{job.name}.pt")
    arrays: dict[str, np.ndarray] = {}
    for split, actors in (("test", test), ("validation", validation)):
        index = [i for i in range(len(_dataset.recordings)) if _heard(i) and _dataset.recordings[i].actor in actors]
        arrays[f"{split}_index"] = np.array(index, dtype=np.int64)
        arrays[f"{split}_logits"] = predict(network, [_dataset.frames[i][0] for i in index])
    partial_path = folder / f"{job.name}.partial.npz"
    np.savez(partial_path, seconds=np.array(time.perf_counter() - began), **arrays)  # type: ignore[arg-type]  # names are not its options
    partial_path.replace(folder / f"{job.name}.npz")


def _heard(index: int) -> bool:
    return int(_dataset.utterances[index]) == 1


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
    """Read one seed's predictions on the `test` or the `validation` actors of all five folds.

    Raises:
        SerError: a fold has not been trained.
    """
    index, logits = [], []
    for fold in range(len(TEST_ACTORS)):
        path = folder / f"{Job(seed, fold).name}.npz"
        if not path.exists():
            raise SerError(f"{path} is missing: run `ser-model train` with the same --output to finish the run")
        with np.load(path) as file:
            index.append(file[f"{split}_index"])
            logits.append(file[f"{split}_logits"])
    return Predictions(np.concatenate(index), np.concatenate(logits))
