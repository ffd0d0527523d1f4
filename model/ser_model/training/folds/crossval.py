"""Cross-validation over the five folds. It can be resumed: each network has its own files."""

from __future__ import annotations

import json
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
from ser_model.training.data.dataset import Dataset
from ser_model.training.files import write_arrays, write_json
from ser_model.training.folds.jobs import FOLDS, Job, Split
from ser_model.training.folds.trainer import Trainer, check_device, evaluated_recordings
from ser_model.training.networks.architecture import VARIANTS, ResLstmSa
from ser_model.training.networks.fit_config import Device, FitConfig
from ser_model.training.networks.inference import predict
from ser_model.training.processes import new_pool
from ser_model.training.scores import MISSED, Classes, Logits

_GPU_NETWORKS = 128
"""Number of networks that a GPU trains at once."""

_trainer: Trainer
_epochs: Synchronized[int]


def open_run(folder: Path, settings: dict[str, Any]) -> None:
    """Create the folder of a run, or check that an existing one has the same settings.

    Raises:
        SerError: The folder belongs to a run with other settings.
    """
    path = folder / "settings.json"
    if path.exists() and path.read_text() != json.dumps(settings, indent=2):
        raise SerError(f"{folder} holds a run with other settings (see {path}); name another --output, or remove it")
    write_json(path, settings, indent=2)


def run(
    dataset: Dataset,
    config: FitConfig,
    jobs: Sequence[Job],
    folder: Path,
    workers: int | None = None,
    device: Device = "cpu",
) -> None:
    """Train the networks that are missing, teachers first, with a progress bar.

    Args:
        dataset: the frames.
        config: the recipe.
        jobs: the networks wanted.
        folder: the folder of the run.
        workers: number of processes, each training one network at a time; `None`: one per core.
        device: `cpu` or `cuda`. With `cuda` one process trains many networks at once.

    Raises:
        SerError: The device is not available.
    """
    check_device(device)
    teachers = list(dict.fromkeys(teacher for job in jobs for teacher in job.teachers)) if config.hard_share < 1 else []
    for stage in (teachers, jobs):
        todo = [job for job in stage if not (folder / f"{job.name}.npz").exists()]
        if todo and device == "cpu":
            _run_on_cpu(Trainer(dataset, config, folder), todo, workers)
        elif todo:
            _run_on_gpu(Trainer(dataset, config, folder, device), todo)


def _progress(title: str) -> Progress:
    return Progress(TextColumn(title), BarColumn(), MofNCompleteColumn(), TextColumn("epochs"), TimeRemainingColumn())


def _title(todo: Sequence[Job]) -> str:
    return f"training {len(todo)} {'teachers' if todo[0].part is not None else 'networks'}"


def _run_on_cpu(trainer: Trainer, todo: Sequence[Job], workers: int | None) -> None:
    epochs = get_context("spawn").Value("l", 0)
    with (
        _progress(_title(todo)) as bar,
        new_pool(workers, _start_worker, (trainer, epochs)) as pool,
    ):
        task = bar.add_task("", total=len(todo) * trainer.config.epochs)
        result = pool.map_async(_train, [[job] for job in todo], chunksize=1)
        while not result.ready():
            result.wait(0.5)
            bar.update(task, completed=epochs.value)
        result.get()
        bar.update(task, completed=epochs.value)


def _run_on_gpu(trainer: Trainer, todo: Sequence[Job]) -> None:
    with _progress(_title(todo)) as bar:
        task = bar.add_task("", total=len(todo) * trainer.config.epochs)
        for at in range(0, len(todo), _GPU_NETWORKS):
            some = todo[at : at + _GPU_NETWORKS]
            trainer.train(some, partial(bar.advance, task, len(some)))


def _start_worker(trainer: Trainer, epochs: Synchronized[int]) -> None:
    import torch

    global _trainer, _epochs
    _trainer, _epochs = trainer, epochs
    torch.set_num_threads(1)


def _train(jobs: Sequence[Job]) -> None:
    _trainer.train(jobs, _count_epoch)


def _count_epoch() -> None:
    with _epochs.get_lock():
        _epochs.value += 1


def predict_again(dataset: Dataset, variant: str, jobs: Sequence[Job], folder: Path) -> None:
    """Repeat the predictions of trained networks, on recordings as the present gate segments them."""
    import torch

    for job in jobs:
        network = ResLstmSa(VARIANTS[variant])
        network.load_state_dict(torch.load(folder / f"{job.name}.pt", weights_only=True))
        path = folder / f"{job.name}.npz"
        with np.load(path) as file:
            kept = {name: file[name] for name in file.files if name not in ("index", "logits")}
        index = evaluated_recordings(dataset, job)
        write_arrays(path, index=index, logits=predict(network, [dataset.frames[at][0] for at in index]), **kept)


@dataclass(frozen=True, slots=True)
class PooledPredictions:
    """Logits of the networks of one seed, pooled over the folds."""

    index: Classes
    """Recordings in which the gate found exactly one utterance, shape (n,)."""
    logits: Logits
    """Shape (n, 8)."""

    def classes(self, recordings: int) -> Classes:
        """Predicted class of every recording; `MISSED` where the gate did not find exactly one utterance."""
        out = np.full(recordings, MISSED, dtype=np.int64)
        out[self.index] = self.logits.argmax(axis=1)
        return out


def read_pooled(folder: Path, seed: int, split: Split) -> PooledPredictions:
    """Read the predictions of one seed for the `test` or the `validation` actors of all five folds.

    Raises:
        SerError: A fold is not trained.
    """
    index, logits = [], []
    for fold in FOLDS:
        path = folder / f"{Job(seed, fold, split).name}.npz"
        if not path.exists():
            raise SerError(f"{path} is missing: run `ser-model train` with the same --output to finish the run")
        with np.load(path) as file:
            index.append(file["index"])
            logits.append(file["logits"])
    return PooledPredictions(np.concatenate(index), np.concatenate(logits))
