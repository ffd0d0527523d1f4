"""Training of networks: Adam with L2 in the gradient, a cosine schedule, and variants and crops drawn every epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ser_model.training.networks.architecture import VARIANTS, ResLstmSa
from ser_model.training.networks.batched import BatchedNetworks
from ser_model.training.networks.frame_store import FrameStore
from ser_model.training.networks.training_step import CudaGraphStep, Task, TrainingStep

EpochCallback = Callable[[int, BatchedNetworks, Tensor], None]


def fit(
    store: FrameStore,
    emotions: npt.NDArray[np.int64],
    tasks: Sequence[Task],
    after_epoch: EpochCallback = lambda epoch, networks, losses: None,
) -> list[ResLstmSa]:
    """Train networks at once. The same tasks and number of threads give the same weights.

    Args:
        store: the frames.
        emotions: class of every recording in the store.
        tasks: the networks; variant, residual, epochs, batch and clipping are those of the first task.
        after_epoch: called after every epoch with its number from 1, the networks, and their mean losses, shape (K,).

    Returns:
        the networks after the last epoch, in evaluation mode, in the order of `tasks`
    """
    torch.manual_seed(tasks[0].seed)
    rows = [task.rows[store.versions[task.rows] > 0] for task in tasks]
    networks = _new_networks(store, tasks, rows)
    step = TrainingStep(store, networks, emotions, tasks, rows)
    rngs = [np.random.default_rng(task.seed) for task in tasks]
    run = CudaGraphStep(step) if store.device == "cuda" else step
    for epoch in range(tasks[0].config.epochs):
        drawn = [_draw(task, own, rng) for task, own, rng in zip(tasks, rows, rngs, strict=True)]
        batches = store.epoch_batches(drawn, [task.config for task in tasks], rngs)
        for number, (batch, longest) in enumerate(batches):
            step.prepare(batch, epoch + number / len(batches))
            run(longest)
        after_epoch(epoch + 1, networks, step.losses / len(batches))
        step.losses.zero_()
    return networks.unstack()


def _draw(task: Task, rows: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Recordings of an epoch: `rows`, or of each group as many as wanted, each recording once before any twice."""
    if task.draws is None:
        return rows
    parts = []
    for group, count in task.draws:
        own = group[np.isin(group, rows)]
        rounds = -(-count // len(own)) if len(own) else 0
        parts.extend([np.concatenate([rng.permutation(own) for _ in range(rounds)])[:count]] if rounds else [])
    return np.concatenate(parts)


def _new_networks(store: FrameStore, tasks: Sequence[Task], rows: Sequence[npt.NDArray[np.int64]]) -> BatchedNetworks:
    networks = []
    for task in tasks:
        torch.manual_seed(task.seed)
        config = task.config
        networks.append(ResLstmSa(VARIANTS[config.variant], config.dropout, residual=config.residual))
    statistics = [store.statistics(own) for own in rows]
    mean, std = (torch.stack([pair[at] for pair in statistics]) for at in (0, 1))
    return BatchedNetworks(networks, mean, std, store.device)
