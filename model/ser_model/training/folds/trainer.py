"""Trains the networks of a cross-validation and keeps what they answer."""

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
from ser_model.training.networks.fit import FitConfig, Task, fit, predict
from ser_model.training.networks.frame_store import FrameStore
from ser_model.training.scores import uar

_HEARD_VERSIONS = 4
"""Versions of a recording, the clean one first, over which a teacher's answers are averaged."""

_CURVE_EVERY = 8
"""Epochs between two points of the learning curve."""


def check_device(device: str) -> None:
    """Refuse a device that isn't there.

    Raises:
        SerError: no GPU, or a PyTorch without CUDA.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise SerError("--device cuda: PyTorch finds no NVIDIA GPU here; leave the option out")


def evaluated_recordings(dataset: Dataset, job: Job) -> npt.NDArray[np.int64]:
    """Indices of the recordings that a network answers for: those heard as exactly one utterance."""
    own = [row.actor in job.evaluated_speakers for row in dataset.recordings]
    return np.flatnonzero(np.array(own) & (dataset.utterances == 1))


class Trainer:
    """What the networks of a run have in common.

    Args:
        dataset: the frames.
        config: the recipe.
        folder: of the run.
        device: `cpu` or `cuda`.
    """

    def __init__(self, dataset: Dataset, config: FitConfig, folder: Path, device: str = "cpu") -> None:
        self.config = config
        self._dataset, self._folder, self._device = dataset, folder, device

    @cached_property
    def _bank(self) -> FrameStore:
        return FrameStore(self._dataset.frames, self._device)

    @cached_property
    def _emotions(self) -> npt.NDArray[np.int64]:
        return np.array([recording.emotion for recording in self._dataset.recordings])

    def train(self, jobs: Sequence[Job], progress: Callable[[], None]) -> None:
        """Train some networks side by side, and write each one's weights and answers.

        Args:
            jobs: the networks; their teachers' answers are there.
            progress: called after every epoch.
        """
        began = time.perf_counter()
        actors = np.array([recording.actor for recording in self._dataset.recordings])
        rows = [np.flatnonzero(~np.isin(actors, job.held_out_speakers)) for job in jobs]
        tasks = [Task(job.seed, own, self.config, self._soft(job)) for job, own in zip(jobs, rows, strict=True)]
        answered = [evaluated_recordings(self._dataset, job) for job in jobs]
        curves: list[list[tuple[float, float, float]]] = [[] for _ in jobs]

        def observe(epoch: int, stack: BatchedNetworks, losses: Tensor) -> None:
            progress()
            if epoch % _CURVE_EVERY == 0 or epoch == self.config.epochs:
                scores = self._score(stack, answered)
                for curve, loss, score in zip(curves, losses.tolist(), scores, strict=True):
                    curve.append((epoch, loss, score))

        networks = fit(self._bank, self._emotions, tasks, observe)
        seconds = (time.perf_counter() - began) / len(jobs)
        for job, network, index, curve in zip(jobs, networks, answered, curves, strict=True):
            self._keep(job, network, index, np.array(curve), seconds)

    def _score(self, stack: BatchedNetworks, answered: Sequence[npt.NDArray[np.int64]]) -> list[float]:
        """UAR of each network on the recordings that it answers for; not a number where there are none."""
        width = max(len(index) for index in answered)
        if width == 0:
            return [float("nan")] * len(answered)
        rows = np.stack([np.resize(index, width) if len(index) else np.zeros(width, np.int64) for index in answered])
        predicted = stack.answer(self._bank, rows).argmax(dim=2).numpy()
        return [
            uar(self._emotions[index], one[: len(index)]) if len(index) else float("nan")
            for index, one in zip(answered, predicted, strict=True)
        ]

    def _keep(
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
        """Mean probabilities over some versions of each recording, shape (n, 8)."""
        frames = self._dataset.frames
        rows = [(at, version) for at, row in enumerate(index) for version in frames[row][:_HEARD_VERSIONS]]
        logits = torch.from_numpy(predict(network, [version for _, version in rows]))
        owner = torch.tensor([at for at, _ in rows], dtype=torch.int64)
        total = torch.zeros(len(index), logits.shape[1]).index_add_(0, owner, torch.softmax(logits, dim=1))
        return np.asarray((total / total.sum(dim=1, keepdim=True)).numpy())

    def _soft(self, job: Job) -> Tensor | None:
        """What a network's teachers say of the recordings, shape (recordings, 8); even where none has heard one."""
        if not job.teachers or self.config.hard_share == 1:
            return None
        total = np.zeros((len(self._emotions), 8), dtype=np.float32)
        for teacher in job.teachers:
            with np.load(self._folder / f"{teacher.name}.npz") as file:
                total[file["index"]] += file["posterior"]
        heard = total.sum(axis=1, keepdims=True)
        return torch.from_numpy(np.where(heard > 0, total / np.maximum(heard, 1e-9), 1 / 8).astype(np.float32))
