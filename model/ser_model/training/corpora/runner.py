"""Trains the networks of a run on several corpora. It can be resumed: each network has its own files."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cached_property
from multiprocessing import get_context
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ser_model.atomic_file import open_atomic
from ser_model.training.corpora.held_out import HeldOut
from ser_model.training.corpora.recording_pool import RecordingPool, TargetConfig
from ser_model.training.corpora.teachers import mean_posterior, teachers_of
from ser_model.training.data.speaker_folds import Folds
from ser_model.training.files import write_arrays
from ser_model.training.networks.fit import fit
from ser_model.training.networks.fit_config import FitConfig
from ser_model.training.networks.frame_store import FrameStore
from ser_model.training.networks.inference import predict
from ser_model.training.networks.training_step import Task
from ser_model.training.processes import new_pool

_trainer: PoolTrainer
_epochs: Synchronized[int]


class PoolTrainer:
    """Trains networks on several corpora.

    Args:
        pool: the recordings.
        folds: the folds of each corpus.
        config: the recipe.
        targets: what is learned from each recording.
        folder: the folder of the run.
    """

    def __init__(
        self, pool: RecordingPool, folds: Sequence[Folds], config: FitConfig, targets: TargetConfig, folder: Path
    ) -> None:
        self.config = config
        self._pool, self._folds, self._targets, self._folder = pool, folds, targets, folder

    @cached_property
    def _store(self) -> FrameStore:
        return FrameStore(self._pool.frames, "cpu")

    def train(self, one: HeldOut, progress: Callable[[], None]) -> None:
        """Train a network; write its weights, and its logits for what is held out, or as a teacher for everything."""
        began = time.perf_counter()
        pool = self._pool
        out = one.rows(pool, self._folds)
        rows = np.flatnonzero(~out & pool.learned(self._targets))
        draws = pool.draws(rows[self._store.versions[rows] > 0], self._targets)
        teachers = teachers_of(one, pool, self._targets)
        taught = mean_posterior(teachers, pool, self._targets, self._folder) if teachers else None
        task = Task(one.seed, rows, self.config, examples=pool.targets(self._targets, taught), draws=draws)
        (network,) = fit(self._store, np.maximum(pool.emotions, 0), [task], lambda *_: progress())
        index = np.flatnonzero((out | bool(one.teacher_without)) & (pool.utterances > 0))
        logits = predict(network, [pool.frames[at][0] for at in index])
        with open_atomic(self._folder / f"{one.name}.pt") as file:
            torch.save(network.state_dict(), file)
        write_arrays(self._folder / f"{one.name}.npz", index=index, logits=logits, seconds=time.perf_counter() - began)


def train_missing(
    trainer: PoolTrainer, networks: Sequence[HeldOut], folder: Path, workers: int | None, kind: str
) -> None:
    """Train the networks whose files are missing, with a progress bar.

    Args:
        trainer: trains one.
        networks: all that are wanted.
        folder: the folder of the run.
        workers: number of processes; `None`: one per core.
        kind: what they are, for the progress bar.
    """
    todo = [one for one in networks if not (folder / f"{one.name}.npz").exists()]
    if not todo:
        return
    epochs = get_context("spawn").Value("l", 0)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("epochs"), TimeRemainingColumn())
    with (
        Progress(TextColumn(f"training {len(todo)} {kind}"), *columns) as bar,
        new_pool(workers, _start_worker, (trainer, epochs)) as pool,
    ):
        task = bar.add_task("", total=len(todo) * trainer.config.epochs)
        result = pool.map_async(_train, todo, chunksize=1)
        while not result.ready():
            result.wait(0.5)
            bar.update(task, completed=epochs.value)
        result.get()
        bar.update(task, completed=epochs.value)


def _start_worker(trainer: PoolTrainer, epochs: Synchronized[int]) -> None:
    global _trainer, _epochs
    _trainer, _epochs = trainer, epochs
    torch.set_num_threads(1)


def _train(one: HeldOut) -> None:
    _trainer.train(one, _count_epoch)


def _count_epoch() -> None:
    with _epochs.get_lock():
        _epochs.value += 1
