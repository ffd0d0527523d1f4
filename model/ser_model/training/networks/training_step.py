"""One step of training for many networks at once: loss, gradient and Adam update."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from ser_model.labels import LABELS
from ser_model.training.networks.batched import BatchedNetworks
from ser_model.training.networks.fit_config import Device, FitConfig
from ser_model.training.networks.frame_store import LONGEST, Batch, FrameStore

_BETAS = (0.9, 0.999)
_EPSILON = 1e-8
"""Adam's constants (Kingma & Ba 2015, arXiv 1412.6980)."""
_LEFT_OUT = -1e4
"""Logit of a class that is left out; finite, as its logarithm is multiplied by 0."""


@dataclass(frozen=True, slots=True, eq=False)
class ExampleTargets:
    """What is learned from each recording in the store, where that is more than a label."""

    probabilities: Tensor
    """Share of each class, 0 outside `classes`, shape (recordings, 8)."""
    classes: Tensor
    """Classes between which a recording distinguishes; the loss leaves out the others. Shape (recordings, 8)."""
    weights: Tensor
    """Weight of each recording in the loss, shape (recordings,)."""


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One network to train."""

    seed: int
    rows: npt.NDArray[np.int64]
    """Recordings to learn from, as indices into the store; those without any version are left out."""
    config: FitConfig
    soft_targets: Tensor | None = None
    """Probabilities by other networks for every recording in the store, shape (recordings, 8)."""
    examples: ExampleTargets | None = None
    """In place of labels, `soft_targets` and class weights. Networks that are trained at once all have it, or none."""
    draws: tuple[tuple[npt.NDArray[np.int64], int], ...] | None = None
    """Groups of `rows`, each with its number of examples in an epoch; `None`: every row once."""


def class_weights(emotions: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Weights of the eight classes, inverse to their frequency, 1 on average over the examples."""
    counts = np.bincount(emotions, minlength=len(LABELS))
    return (len(emotions) / np.count_nonzero(counts) / np.maximum(counts, 1)).astype(np.float32)


class TrainingStep:
    """One step of training for all networks.

    The inputs lie in tensors that are never replaced, so that a GPU can replay the step.

    Args:
        store: the frames.
        networks: the networks to train.
        emotions: class of every recording in the store.
        tasks: settings of each network.
        rows: for each network the recordings that it learns from.
    """

    def __init__(
        self,
        store: FrameStore,
        networks: BatchedNetworks,
        emotions: npt.NDArray[np.int64],
        tasks: Sequence[Task],
        rows: Sequence[npt.NDArray[np.int64]],
    ) -> None:
        self._store, self._networks, self._configs = store, networks, [task.config for task in tasks]
        device = store.device
        self._labels = torch.from_numpy(emotions).to(device)
        weights = [
            class_weights(emotions[own]) if task.config.balanced else np.ones(len(LABELS), dtype=np.float32)
            for task, own in zip(tasks, rows, strict=True)
        ]
        self._weights = torch.from_numpy(np.stack(weights)).to(device)
        self._soft_targets = _stack_soft_targets(tasks, len(emotions), device)
        self._examples = _stack_examples(tasks, device)
        self._hard = self._vector([1.0 if task.soft_targets is None else task.config.hard_share for task in tasks])
        self._dropout, self._smoothing, self._offset, self._jitter, self._l2 = (
            self._vector([float(getattr(config, name)) for config in self._configs])
            for name in ("dropout", "label_smoothing", "offset", "jitter", "l2")
        )
        self._moments = {
            name: [torch.zeros_like(row), torch.zeros_like(row)] for name, row in networks.parameters.items()
        }
        count = len(tasks)
        self._batch = Batch.zeros(count, self._configs[0].batch, device)
        self._rate = torch.zeros(count, device=device)
        self._correction = torch.ones(2, device=device)
        self._number = 0
        self.losses = torch.zeros(count, device=device)

    def _vector(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self._store.device)

    def state(self) -> list[Tensor]:
        """All tensors that a step changes."""
        moments = [moment for pair in self._moments.values() for moment in pair]
        return [*self._networks.parameters.values(), *self._networks.statistics.values(), *moments, self.losses]

    def prepare(self, batch: Batch, epoch: float) -> None:
        """Set the batch of the next step, and the learning rate at `epoch`, which may be fractional."""
        self._batch.copy_(batch)
        rates = []
        for config in self._configs:
            cycle = config.restart_epochs or config.epochs
            rates.append(config.learning_rate * 0.5 * (1 + math.cos(math.pi * (epoch % cycle) / cycle)))
        self._rate.copy_(torch.tensor(rates))
        self._number += 1
        self._correction.copy_(torch.tensor([1 - beta**self._number for beta in _BETAS]))

    def __call__(self, time: int) -> None:
        """Run the step, with examples of up to `time` frames."""
        for row in self._networks.parameters.values():
            row.grad = None
        loss = self._loss(time)
        loss.sum().backward()  # type: ignore[no-untyped-call]
        self.losses += loss.detach()
        self._update()

    def _loss(self, time: int) -> Tensor:
        """Cross-entropy of each network, shape (K,)."""
        frames, mask = self._store.examples(self._batch, time)
        inputs = self._networks.normalise(frames)
        shift = torch.randn_like(inputs[0]) * self._offset[:, None, None]
        inputs = inputs + shift + torch.randn_like(inputs) * self._jitter[:, None, None]
        hidden = self._networks.parameters["query"].shape[1]
        chance = torch.rand(*self._batch.recording.shape, hidden, device=mask.device)
        dropout = self._dropout[:, None, None]
        logits = self._networks.forward(inputs, mask, (chance >= dropout) / (1 - dropout))
        if self._examples is not None:
            return self._loss_over_classes(logits, self._examples)
        labels = self._labels[self._batch.recording]
        smoothing = self._smoothing[:, None, None]
        targets = functional.one_hot(labels, len(LABELS)) * (1 - smoothing) + smoothing / len(LABELS)
        if self._soft_targets is not None:
            hard = self._hard[:, None, None]
            index = torch.arange(len(labels), device=labels.device)[:, None]
            targets = targets * hard + self._soft_targets[index, self._batch.recording] * (1 - hard)
        weight = torch.gather(self._weights, 1, labels)
        entropy = -(targets * torch.log_softmax(logits, dim=2)).sum(dim=2)
        return (entropy * weight).sum(dim=1) / weight.sum(dim=1)

    def _loss_over_classes(self, logits: Tensor, examples: ExampleTargets) -> Tensor:
        """Cross-entropy over the classes of each recording, shape (K,)."""
        at = torch.arange(len(logits), device=logits.device)[:, None], self._batch.recording
        classes, weight = examples.classes[at], examples.weights[at]
        smoothing = self._smoothing[:, None, None]
        even = classes / classes.sum(dim=2, keepdim=True)
        targets = examples.probabilities[at] * (1 - smoothing) + even * smoothing
        entropy = -(targets * torch.log_softmax(torch.where(classes, logits, _LEFT_OUT), dim=2)).sum(dim=2)
        return (entropy * weight).sum(dim=1) / weight.sum(dim=1)

    @torch.no_grad()
    def _update(self) -> None:
        """Adam for each network by itself: `torch.optim` has neither a rate nor a gradient norm for each."""
        gradients = {name: row.grad for name, row in self._networks.parameters.items() if row.grad is not None}
        norm = torch.sqrt(torch.stack([row.flatten(1).square().sum(dim=1) for row in gradients.values()]).sum(dim=0))
        scale = (self._configs[0].clip_norm / (norm + 1e-6)).clamp(max=1)
        for name, gradient in gradients.items():
            row = self._networks.parameters[name]
            shape = (-1, *[1] * (row.dim() - 1))
            gradient = gradient * scale.view(shape) + row * self._l2.view(shape)
            first, second = self._moments[name]
            first.lerp_(gradient, 1 - _BETAS[0])
            second.lerp_(gradient.square(), 1 - _BETAS[1])
            deviation = (second / self._correction[1]).sqrt() + _EPSILON
            row.sub_(self._rate.view(shape) * (first / self._correction[0]) / deviation)


def _stack_soft_targets(tasks: Sequence[Task], recordings: int, device: Device) -> Tensor | None:
    """Soft targets of all networks, shape (K, recordings, 8); `None` if none has any."""
    if all(task.soft_targets is None for task in tasks):
        return None
    zeros = torch.zeros(recordings, len(LABELS))
    return torch.stack([zeros if task.soft_targets is None else task.soft_targets for task in tasks]).to(device)


def _stack_examples(tasks: Sequence[Task], device: Device) -> ExampleTargets | None:
    """Targets of all networks, with a first axis of length K; `None` if they have none."""
    every = [task.examples for task in tasks if task.examples is not None]
    if not every:
        return None
    names = ("probabilities", "classes", "weights")
    return ExampleTargets(*(torch.stack([getattr(one, name) for one in every]).to(device) for name in names))


class CudaGraphStep:
    """Runs a step on a GPU from CUDA graphs: launching its thousands of kernels one by one takes longer than they do.

    Args:
        step: the step.
    """

    def __init__(self, step: TrainingStep) -> None:
        self._step = step
        self._graphs: dict[int, torch.cuda.CUDAGraph] = {}

    def __call__(self, time: int) -> None:
        """Run the step, with examples of up to `time` frames, rounded up so that few graphs serve all lengths."""
        time = min(LONGEST, math.ceil(time / 16) * 16)
        if time not in self._graphs:
            self._graphs[time] = self._capture(time)
        self._graphs[time].replay()

    def _capture(self, time: int) -> torch.cuda.CUDAGraph:
        """Warm up on a side stream, undo the changes of that, and capture (PyTorch notes, "CUDA Graphs")."""
        before = [row.detach().clone() for row in self._step.state()]
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            self._step(time)
        torch.cuda.current_stream().wait_stream(side)
        with torch.no_grad():
            for row, value in zip(self._step.state(), before, strict=True):
                row.copy_(value)
        graph = torch.cuda.CUDAGraph()
        pool = next(iter(self._graphs.values())).pool() if self._graphs else None
        with torch.cuda.graph(graph, pool=pool):
            self._step(time)
        return graph
