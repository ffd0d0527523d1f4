"""Fits one network: Adam with L2 in the gradient, one cosine cycle, variants and crops drawn every epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from ser_model.features import HOP, LOG_ENERGY
from ser_model.labels import LABELS
from ser_model.training.architecture import VARIANTS, ResLstmSa
from ser_model.types import SAMPLE_RATE, Frames


@dataclass(frozen=True, slots=True, kw_only=True)
class FitConfig:
    """The recipe; `docs/experiments.md` says how it was chosen."""

    variant: str = "h64"
    epochs: int = 80
    batch: int = 32
    learning_rate: float = 8e-3
    l2: float = 2.8e-3
    """Added to the gradient (Adam's classic weight decay), which here does far better than decoupled decay."""
    dropout: float = 0.2
    label_smoothing: float = 0.1
    balanced: bool = True
    """Let every class count the same in the loss, as it does in UAR: RAVDESS has half as many neutral recordings."""
    clean_share: float = 0.2
    """Share of the examples taken from the recording itself, not from a variant."""
    level_db: float = 6.0
    """Largest change of level: a microphone's gain is unknown."""
    tempo: float = 0.15
    """Largest relative change of tempo at the same pitch."""
    offset: float = 0.3
    """Standard deviation, in those of the features, of an offset that lasts for an utterance: another voice, another
    microphone."""
    jitter: float = 0.2
    """The same of noise that is new in every frame."""
    crop_share: float = 0.3
    """Share of the examples cut to a random piece, as a rolling window sees them."""
    crop_seconds: tuple[float, float] = (1.0, 4.0)
    clip_norm: float = 5.0


@dataclass(frozen=True, slots=True)
class Example:
    """All versions of one recording, and its class."""

    versions: Sequence[Frames]
    emotion: int


Progress = Callable[[], None]


def fit(examples: Sequence[Example], config: FitConfig, seed: int, progress: Progress = lambda: None) -> ResLstmSa:
    """Train a network; the same seed, examples and number of threads give the same weights.

    Args:
        examples: what to learn from; at least one version each.
        config: the recipe.
        seed: of initial weights, order, variants, crops and dropout.
        progress: called after every epoch.

    Returns:
        the network after the last epoch, in evaluation mode
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = ResLstmSa(VARIANTS[config.variant], config.dropout)
    frames = np.concatenate([version for example in examples for version in example.versions])
    network.mean.copy_(torch.from_numpy(frames.mean(axis=0)))
    network.std.copy_(torch.from_numpy(frames.std(axis=0) + 1e-6))
    optimiser = torch.optim.Adam(network.parameters(), config.learning_rate, weight_decay=config.l2)
    steps = config.epochs * math.ceil(len(examples) / config.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    weight = class_weights(examples) if config.balanced else None
    network.train()
    for _ in range(config.epochs):
        for inputs, mask, targets in batches(examples, config, network.std.numpy(), rng):
            logits = network(inputs, mask).logits
            loss = functional.cross_entropy(logits, targets, weight, label_smoothing=config.label_smoothing)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm)
            optimiser.step()
            schedule.step()
        progress()
    return network.eval()


def class_weights(examples: Sequence[Example]) -> Tensor:
    """Weights of the eight classes, inverse to how often they occur, 1 on average over the examples."""
    counts = np.bincount([example.emotion for example in examples], minlength=len(LABELS))
    weights = len(examples) / np.count_nonzero(counts) / np.maximum(counts, 1)
    return torch.from_numpy(weights.astype(np.float32))


def batches(
    examples: Sequence[Example], config: FitConfig, std: npt.NDArray[np.float32], rng: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """One epoch: each example once, varied; similar lengths together to spare padding."""
    drawn = [draw(example, config, std, rng) for example in examples]
    # Sorted by length within groups of some batches: quick, and still a fresh mixture every epoch.
    order = rng.permutation(len(examples))
    group = config.batch * 8
    mixed = [sorted(order[at : at + group], key=lambda index: len(drawn[index])) for at in range(0, len(order), group)]
    flat = [index for part in mixed for index in part]
    pieces = [flat[at : at + config.batch] for at in range(0, len(flat), config.batch)]
    for at in rng.permutation(len(pieces)):
        piece = pieces[at]
        inputs, mask = pad([drawn[index] for index in piece])
        yield inputs, mask, torch.tensor([examples[index].emotion for index in piece])


def draw(example: Example, config: FitConfig, std: npt.NDArray[np.float32], rng: np.random.Generator) -> Frames:
    """A version of the recording, varied in the space of the features: every epoch hears others, at no cost.

    Another level changes nothing in a feature vector but its log energy.
    """
    clean = rng.random() < config.clean_share
    frames = example.versions[0 if clean else int(rng.integers(len(example.versions)))]
    frames = change_tempo(crop(frames, config, rng), 1 + rng.uniform(-config.tempo, config.tempo))
    shift = config.offset * std * rng.standard_normal(frames.shape[1])
    shift[LOG_ENERGY] = rng.uniform(-config.level_db, config.level_db) * math.log(10) / 10
    noise = config.jitter * std * rng.standard_normal(frames.shape)
    return np.asarray(frames + shift + noise, dtype=np.float32)


def change_tempo(frames: Frames, factor: float) -> Frames:
    """Frames of faster (factor above 1) or slower speech, interpolated."""
    count = max(2, round(len(frames) / factor))
    position = np.linspace(0, len(frames) - 1, count)
    below = np.minimum(position.astype(np.int64), len(frames) - 2) if len(frames) > 1 else np.zeros(count, np.int64)
    weight = (position - below)[:, None]
    above = np.minimum(below + 1, len(frames) - 1)
    return np.asarray(frames[below] * (1 - weight) + frames[above] * weight, dtype=np.float32)


def crop(frames: Frames, config: FitConfig, rng: np.random.Generator) -> Frames:
    """A random piece of 1 to 4 s for a share of the calls, else all frames."""
    if rng.random() >= config.crop_share:
        return frames
    length = int(rng.uniform(*config.crop_seconds) * SAMPLE_RATE / HOP)
    if length >= len(frames):
        return frames
    start = rng.integers(len(frames) - length + 1)
    return frames[start : start + length]


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
