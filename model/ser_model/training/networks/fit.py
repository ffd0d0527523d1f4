"""Fits networks: Adam with L2 in the gradient, a cosine schedule, variants and crops drawn every epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from ser_model.labels import LABELS
from ser_model.training.networks.architecture import VARIANTS, ResLstmSa
from ser_model.training.networks.batched import BatchedNetworks
from ser_model.training.networks.frame_store import LONGEST, Batch, FrameStore
from ser_model.types import Frames

_BETAS = (0.9, 0.999)
_TINY = 1e-8
"""Adam's constants (Kingma & Ba 2015, arXiv 1412.6980)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitConfig:
    """The recipe; `docs/experiments.md` says how it was chosen."""

    variant: str = "h64"
    residual: bool = True
    """False: the paper's baseline LSTM-SA."""
    epochs: int = 80
    restart_epochs: int = 0
    """Length of a cosine cycle; 0: one cycle over all epochs."""
    batch: int = 32
    learning_rate: float = 5e-3
    l2: float = 1.4e-3
    """Added to the gradient (Adam's classic weight decay), which here does far better than decoupled decay."""
    dropout: float = 0.2
    label_smoothing: float = 0.05
    hard_share: float = 0.6
    """Weight of the label beside the answers of networks that have not heard the speaker; 1: the label alone."""
    balanced: bool = True
    """Let every class count the same in the loss, as it does in UAR: RAVDESS has half as many neutral recordings."""
    clean_share: float = 0.2
    """Share of the examples taken from the recording itself, not from a variant."""
    level_db: float = 6.0
    """Largest change of level: a microphone's gain is unknown."""
    tempo: float = 0.1
    """Largest relative change of tempo at the same pitch."""
    offset: float = 0.35
    """Standard deviation, in those of the features, of an offset that lasts for an utterance: another voice, another
    microphone."""
    jitter: float = 0.15
    """The same of noise that is new in every frame."""
    crop_share: float = 0.35
    """Share of the examples cut to a random piece, as a rolling window sees them."""
    crop_seconds: tuple[float, float] = (1.0, 4.0)
    clip_norm: float = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One network to fit."""

    seed: int
    rows: npt.NDArray[np.int64]
    """Recordings to learn from, indices into the bank; those without any version are left out."""
    config: FitConfig
    soft: Tensor | None = None
    """What other networks say of every recording in the store, probabilities, shape (recordings, 8)."""


Observe = Callable[[int, BatchedNetworks, Tensor], None]


def fit(
    store: FrameStore,
    emotions: npt.NDArray[np.int64],
    tasks: Sequence[Task],
    observe: Observe = lambda epoch, stack, losses: None,
) -> list[ResLstmSa]:
    """Train networks side by side; the same tasks and number of threads give the same weights.

    Args:
        store: the frames.
        emotions: class of every recording in the store.
        tasks: the networks; variant, residual, epochs, batch and clipping are those of the first one's recipe.
        observe: called after every epoch with its number from 1, the networks, and their mean losses, shape (K,).

    Returns:
        the networks after the last epoch, in evaluation mode, in the order of `tasks`
    """
    torch.manual_seed(tasks[0].seed)
    config = tasks[0].config
    rows = [task.rows[store.versions[task.rows] > 0] for task in tasks]
    stack = _new_stack(store, tasks, rows)
    step = _Step(store, stack, emotions, tasks, rows)
    rngs = [np.random.default_rng(task.seed) for task in tasks]
    run = _Replayed(step) if store.device == "cuda" else step
    for epoch in range(config.epochs):
        batches = store.epoch(rows, [task.config for task in tasks], rngs)
        for number, (draw, longest) in enumerate(batches):
            step.prepare(draw, epoch + number / len(batches))
            run(longest)
        observe(epoch + 1, stack, step.losses / len(batches))
        step.losses.zero_()
    return stack.networks()


def _new_stack(store: FrameStore, tasks: Sequence[Task], rows: Sequence[npt.NDArray[np.int64]]) -> BatchedNetworks:
    networks = []
    for task in tasks:
        torch.manual_seed(task.seed)
        config = task.config
        networks.append(ResLstmSa(VARIANTS[config.variant], config.dropout, residual=config.residual))
    statistics = [store.statistics(own) for own in rows]
    mean, std = (torch.stack([pair[at] for pair in statistics]) for at in (0, 1))
    return BatchedNetworks(networks, mean, std, store.device)


def class_weights(emotions: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Weights of the eight classes, inverse to how often they occur, 1 on average over the examples."""
    counts = np.bincount(emotions, minlength=len(LABELS))
    return (len(emotions) / np.count_nonzero(counts) / np.maximum(counts, 1)).astype(np.float32)


class _Step:
    """One step of training of all networks; its inputs lie in fixed places, so that a GPU can replay it."""

    def __init__(
        self,
        store: FrameStore,
        stack: BatchedNetworks,
        emotions: npt.NDArray[np.int64],
        tasks: Sequence[Task],
        rows: Sequence[npt.NDArray[np.int64]],
    ) -> None:
        self._bank, self._stack, self._configs = store, stack, [task.config for task in tasks]
        self._labels = torch.from_numpy(emotions).to(store.device)
        weights = [
            class_weights(emotions[own]) if task.config.balanced else np.ones(len(LABELS), dtype=np.float32)
            for task, own in zip(tasks, rows, strict=True)
        ]
        self._weights = torch.from_numpy(np.stack(weights)).to(store.device)
        self._soft = None
        if any(task.soft is not None for task in tasks):
            nothing = torch.zeros(len(emotions), len(LABELS))
            self._soft = torch.stack([nothing if task.soft is None else task.soft for task in tasks]).to(store.device)
        self._hard = self._vector(
            "hard_share", [1.0 if task.soft is None else task.config.hard_share for task in tasks]
        )
        self._dropout, self._smoothing = self._vector("dropout"), self._vector("label_smoothing")
        self._offset, self._jitter, self._l2 = (self._vector(name) for name in ("offset", "jitter", "l2"))
        self._moments = {name: [torch.zeros_like(row), torch.zeros_like(row)] for name, row in stack.parameters.items()}
        count, batch = len(tasks), self._configs[0].batch
        whole = torch.zeros(count, batch, dtype=torch.int64, device=store.device)
        real = torch.zeros(count, batch, device=store.device)
        self._draw = Batch(whole, whole.clone(), whole.clone(), real, real.clone(), whole + 2, real.clone())
        self._rate = torch.zeros(count, device=store.device)
        self._correction = torch.ones(2, device=store.device)
        self._number = 0
        self.losses = torch.zeros(count, device=store.device)

    def _vector(self, name: str, values: Sequence[float] | None = None) -> Tensor:
        values = values or [float(getattr(config, name)) for config in self._configs]
        return torch.tensor(values, dtype=torch.float32, device=self._bank.device)

    def state(self) -> list[Tensor]:
        """Everything that a step changes."""
        moments = [moment for pair in self._moments.values() for moment in pair]
        return [*self._stack.parameters.values(), *self._stack.statistics.values(), *moments, self.losses]

    def prepare(self, draw: Batch, epoch: float) -> None:
        """Set the next step's batch, and its learning rate after so many epochs."""
        self._draw.copy_(draw)
        rates = []
        for config in self._configs:
            cycle = config.restart_epochs or config.epochs
            rates.append(config.learning_rate * 0.5 * (1 + math.cos(math.pi * (epoch % cycle) / cycle)))
        self._rate.copy_(torch.tensor(rates))
        self._number += 1
        self._correction.copy_(torch.tensor([1 - beta**self._number for beta in _BETAS]))

    def __call__(self, time: int) -> None:
        """Make the step, with examples of up to `time` frames."""
        for row in self._stack.parameters.values():
            row.grad = None
        loss = self._loss(time)
        loss.sum().backward()  # type: ignore[no-untyped-call]
        self.losses += loss.detach()
        self._update()

    def _loss(self, time: int) -> Tensor:
        """Cross-entropy of each network, shape (K,)."""
        frames, mask = self._bank.examples(self._draw, time)
        inputs = self._stack.normalise(frames)
        shift = torch.randn_like(inputs[0]) * self._offset[:, None, None]
        inputs = inputs + shift + torch.randn_like(inputs) * self._jitter[:, None, None]
        hidden = self._stack.parameters["query"].shape[1]
        chance = torch.rand(*self._draw.recording.shape, hidden, device=mask.device)
        dropout = self._dropout[:, None, None]
        logits = self._stack.forward(inputs, mask, (chance >= dropout) / (1 - dropout))
        labels = self._labels[self._draw.recording]
        smoothing = self._smoothing[:, None, None]
        targets = functional.one_hot(labels, len(LABELS)) * (1 - smoothing) + smoothing / len(LABELS)
        if self._soft is not None:
            hard = self._hard[:, None, None]
            networks = torch.arange(len(labels), device=labels.device)[:, None]
            targets = targets * hard + self._soft[networks, self._draw.recording] * (1 - hard)
        weight = torch.gather(self._weights, 1, labels)
        entropy = -(targets * torch.log_softmax(logits, dim=2)).sum(dim=2)
        return (entropy * weight).sum(dim=1) / weight.sum(dim=1)

    @torch.no_grad()
    def _update(self) -> None:
        """Adam for each network by itself: `torch.optim` knows neither its own rate nor its own gradient norm."""
        gradients = {name: row.grad for name, row in self._stack.parameters.items() if row.grad is not None}
        norm = torch.sqrt(torch.stack([row.flatten(1).square().sum(dim=1) for row in gradients.values()]).sum(dim=0))
        scale = (self._configs[0].clip_norm / (norm + 1e-6)).clamp(max=1)
        for name, gradient in gradients.items():
            row = self._stack.parameters[name]
            shape = (-1, *[1] * (row.dim() - 1))
            gradient = gradient * scale.view(shape) + row * self._l2.view(shape)
            first, second = self._moments[name]
            first.lerp_(gradient, 1 - _BETAS[0])
            second.lerp_(gradient.square(), 1 - _BETAS[1])
            spread = (second / self._correction[1]).sqrt() + _TINY
            row.sub_(self._rate.view(shape) * (first / self._correction[0]) / spread)


class _Replayed:
    """Runs a step on a GPU from recordings of its kernels: launching thousands one by one costs more than they do."""

    def __init__(self, step: _Step) -> None:
        self._step = step
        self._graphs: dict[int, torch.cuda.CUDAGraph] = {}

    def __call__(self, time: int) -> None:
        """Make the step, with examples of up to `time` frames, rounded up so that few recordings serve all."""
        time = min(LONGEST, math.ceil(time / 16) * 16)
        if time not in self._graphs:
            self._graphs[time] = self._record(time)
        self._graphs[time].replay()

    def _record(self, time: int) -> torch.cuda.CUDAGraph:
        """Warm up beside the main stream, take back what that changed, and record (PyTorch notes, "CUDA Graphs")."""
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


def pad(sequences: Sequence[Frames]) -> tuple[Tensor, Tensor]:
    """Batch of (batch, time, 46), zero-padded at the end, and the mask of real frames (batch, time)."""
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    inputs = pad_sequence([torch.from_numpy(sequence) for sequence in sequences], batch_first=True)
    return inputs, torch.arange(inputs.shape[1]) < lengths.unsqueeze(1)


@torch.no_grad()
def predict(network: ResLstmSa, sequences: Sequence[Frames]) -> npt.NDArray[np.float32]:
    """Logits of whole utterances, shape (utterances, 8)."""
    network.eval()
    rows = [network(*pad(sequences[at : at + 64])).logits for at in range(0, len(sequences), 64)]
    return torch.cat(rows).numpy() if rows else np.zeros((0, 8), dtype=np.float32)
