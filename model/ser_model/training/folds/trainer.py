"""Training of the networks of a cross-validation, with the files of their weights and predictions."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ser_model.atomic_file import open_atomic
from ser_model.errors import SerError
from ser_model.training.data.dataset import Dataset
from ser_model.training.files import write_arrays
from ser_model.training.folds.jobs import Job
from ser_model.training.networks.architecture import ResLstmSa
from ser_model.training.networks.batched import BatchedNetworks
from ser_model.training.networks.fit import fit
from ser_model.training.networks.fit_config import Device, FitConfig
from ser_model.training.networks.frame_store import FrameStore
from ser_model.training.networks.inference import predict
from ser_model.training.networks.training_step import Task
from ser_model.training.scores import uar

_TEACHER_VERSIONS = 4
"""Number of versions of a recording, from the clean one, over which a teacher's probabilities are averaged."""

_CURVE_EVERY = 8
"""Epochs between two points of the learning curve."""


def check_device(device: Device) -> None:
    """Check that a device is available.

    Raises:
        SerError: There is no GPU, or PyTorch has no CUDA.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise SerError("--device cuda: PyTorch finds no NVIDIA GPU here; leave the option out")


def evaluated_recordings(dataset: Dataset, job: Job) -> npt.NDArray[np.int64]:
    """Indices of the recordings that a network is evaluated on: those with exactly one utterance."""
    own = [row.actor in job.evaluated_speakers for row in dataset.recordings]
    return np.flatnonzero(np.array(own) & (dataset.utterances == 1))


class Trainer:
    """Trains networks of one run.

    Args:
        dataset: the frames.
        config: the recipe.
        folder: the folder of the run.
        device: `cpu` or `cuda`.
    """

    def __init__(self, dataset: Dataset, config: FitConfig, folder: Path, device: Device = "cpu") -> None:
        self.config = config
        self._dataset, self._folder, self._device = dataset, folder, device

    @cached_property
    def _store(self) -> FrameStore:
        return FrameStore(self._dataset.frames, self._device)

    @cached_property
    def _emotions(self) -> npt.NDArray[np.int64]:
        return np.array([recording.emotion for recording in self._dataset.recordings])

    def train(self, jobs: Sequence[Job], progress: Callable[[], None]) -> None:
        """Train networks at once, and write the weights and predictions of each.

        Args:
            jobs: the networks; the predictions of their teachers exist.
            progress: called after every epoch.
        """
        began = time.perf_counter()
        actors = np.array([recording.actor for recording in self._dataset.recordings])
        rows = [np.flatnonzero(~np.isin(actors, job.held_out_speakers)) for job in jobs]
        tasks = [Task(job.seed, own, self.config, self._soft_targets(job)) for job, own in zip(jobs, rows, strict=True)]
        evaluated = [evaluated_recordings(self._dataset, job) for job in jobs]
        curves: list[list[tuple[float, float, float]]] = [[] for _ in jobs]

        def after_epoch(epoch: int, batched: BatchedNetworks, losses: Tensor) -> None:
            progress()
            if epoch % _CURVE_EVERY == 0 or epoch == self.config.epochs:
                scores = self._score(batched, evaluated)
                for curve, loss, score in zip(curves, losses.tolist(), scores, strict=True):
                    curve.append((epoch, loss, score))

        networks = fit(self._store, self._emotions, tasks, after_epoch)
        seconds = (time.perf_counter() - began) / len(jobs)
        for job, network, index, curve in zip(jobs, networks, evaluated, curves, strict=True):
            self._write(job, network, index, np.array(curve), seconds)

    def _score(self, batched: BatchedNetworks, evaluated: Sequence[npt.NDArray[np.int64]]) -> list[float]:
        """UAR of each network on the recordings that it is evaluated on; NaN where there are none."""
        width = max(len(index) for index in evaluated)
        if width == 0:
            return [float("nan")] * len(evaluated)
        rows = np.stack([np.resize(index, width) if len(index) else np.zeros(width, np.int64) for index in evaluated])
        predicted = batched.predict(self._store, rows).argmax(dim=2).numpy()
        return [
            uar(self._emotions[index], one[: len(index)]) if len(index) else float("nan")
            for index, one in zip(evaluated, predicted, strict=True)
        ]

    def _write(
        self, job: Job, network: ResLstmSa, index: npt.NDArray[np.int64], curve: npt.NDArray[np.float64], seconds: float
    ) -> None:
        with open_atomic(self._folder / f"{job.name}.pt") as file:
            torch.save(network.state_dict(), file)
        path = self._folder / f"{job.name}.npz"
        if job.part is not None:
            write_arrays(path, index=index, posterior=self._posterior(network, index))
            return
        logits = predict(network, [self._dataset.frames[at][0] for at in index])
        write_arrays(path, index=index, logits=logits, curve=curve, seconds=seconds)

    def _posterior(self, network: ResLstmSa, index: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Mean probabilities over the first versions of each recording, shape (n, 8)."""
        frames = self._dataset.frames
        rows = [(at, version) for at, row in enumerate(index) for version in frames[row][:_TEACHER_VERSIONS]]
        logits = torch.from_numpy(predict(network, [version for _, version in rows]))
        owner = torch.tensor([at for at, _ in rows], dtype=torch.int64)
        total = torch.zeros(len(index), logits.shape[1]).index_add_(0, owner, torch.softmax(logits, dim=1))
        return np.asarray((total / total.sum(dim=1, keepdim=True)).numpy())

    def _soft_targets(self, job: Job) -> Tensor | None:
        """Mean probabilities by the teachers of a network, shape (recordings, 8); uniform where there are none."""
        if not job.teachers or self.config.hard_share == 1:
            return None
        total = np.zeros((len(self._emotions), 8), dtype=np.float32)
        for teacher in job.teachers:
            with np.load(self._folder / f"{teacher.name}.npz") as file:
                total[file["index"]] += file["posterior"]
        weight = total.sum(axis=1, keepdims=True)
        return torch.from_numpy(np.where(weight > 0, total / np.maximum(weight, 1e-9), 1 / 8).astype(np.float32))
