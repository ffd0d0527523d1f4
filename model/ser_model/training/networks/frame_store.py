"""Frames of all recordings on one device, and the batches that an epoch of training draws from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ser_model.features.features import HOP, LOG_ENERGY, SIZE
from ser_model.training.networks.fit_config import Device, FitConfig
from ser_model.types import SAMPLE_RATE, Frames

_Numbers = npt.NDArray[Any]

LONGEST = 128
"""Largest number of frames of an example, 5.5 s; longer utterances are cut."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch for each of K networks; every field has the shape (K, batch)."""

    recording: Tensor
    first: Tensor
    """Index in the store of the first frame of the version."""
    last: Tensor
    """Index of the last frame of the version, relative to `first`."""
    offset: Tensor
    """Index of the first frame of the example, relative to `first`; a whole number."""
    rate: Tensor
    """Frames of the version per frame of the example; above 1: faster speech."""
    count: Tensor
    """Number of frames of the example."""
    level: Tensor
    """Change of the log energy."""

    @classmethod
    def zeros(cls, count: int, size: int, device: Device) -> Batch:
        """Return a placeholder for `count` networks with `size` examples each; `copy_` fills it."""
        whole = torch.zeros(count, size, dtype=torch.int64, device=device)
        real = torch.zeros(count, size, device=device)
        return cls(whole, whole.clone(), whole.clone(), real, real.clone(), whole + 2, real.clone())

    def copy_(self, other: Batch) -> None:
        """Copy the values of another batch into these tensors."""
        for name in self.__slots__:
            getattr(self, name).copy_(getattr(other, name))


class FrameStore:
    """All versions of all recordings.

    Args:
        frames: for each recording its versions, each of shape (time, 46). Version 0 is clean. There may be none.
        device: `cpu` or `cuda`.
    """

    def __init__(self, frames: Sequence[Sequence[Frames]], device: Device) -> None:
        self.device = device
        self.versions = np.array([len(versions) for versions in frames])
        width = max(int(self.versions.max()), 1)
        self.lengths = np.zeros((len(frames), width), dtype=np.int64)
        for row, versions in enumerate(frames):
            self.lengths[row, : len(versions)] = [len(version) for version in versions]
        ends = np.cumsum(self.lengths.ravel())
        self.starts = (ends - self.lengths.ravel()).reshape(self.lengths.shape)
        flat = [version for versions in frames for version in versions] or [np.zeros((1, SIZE), dtype=np.float32)]
        self._flat = torch.from_numpy(np.concatenate(flat)).to(device)

    def statistics(self, rows: _Numbers) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the features over all versions of the recordings `rows`, shape (46,)."""
        pieces = [
            np.arange(self.starts[row, 0], self.starts[row, -1] + self.lengths[row, -1])
            for row in rows
            if self.versions[row]
        ]
        frames = self._flat[torch.from_numpy(np.concatenate(pieces)).to(self.device)].double()
        return frames.mean(dim=0).float(), (frames.std(dim=0) + 1e-6).float()

    def epoch_batches(
        self, rows: Sequence[_Numbers], configs: Sequence[FitConfig], rngs: Sequence[np.random.Generator]
    ) -> list[tuple[Batch, int]]:
        """Draw the batches of an epoch, with every recording once; a batch has similar lengths, to reduce padding.

        Args:
            rows: for each of K networks the recordings that it learns from; each has a version.
            configs: for each network how examples vary; all have the same `batch`.
            rngs: for each network the source of its random numbers.

        Returns:
            the batches, each with the number of frames of its longest example
        """
        batch = configs[0].batch
        steps = math.ceil(max(len(own) for own in rows) / batch)
        shuffled = rngs[0].permutation(steps)
        columns = [self._draw(*one, steps * batch) for one in zip(rows, configs, rngs, strict=True)]
        table = [np.stack([column[at] for column in columns]) for at in range(7)]
        # The order of the batches is common to all networks, so that their lengths stay similar.
        table = [part.reshape(len(rows), steps, batch).swapaxes(0, 1)[shuffled] for part in table]
        longest = table[5].max(axis=(1, 2)).astype(int)
        parts = [torch.from_numpy(np.ascontiguousarray(part)).to(self.device) for part in table]
        return [(Batch(*(part[step] for part in parts)), int(longest[step])) for step in range(steps)]

    def _draw(self, own: _Numbers, config: FitConfig, rng: np.random.Generator, number: int) -> tuple[_Numbers, ...]:
        """Columns of a `Batch` for one network, shape (number,), sorted by length within groups of eight batches."""
        rounds = math.ceil(number / len(own))
        recording = np.concatenate([rng.permutation(own) for _ in range(rounds)])[:number]
        clean = rng.random(number) < config.clean_share
        version = np.where(clean, 0, rng.integers(0, self.versions[recording]))
        length = self.lengths[recording, version]
        piece = (rng.uniform(*config.crop_seconds, number) * SAMPLE_RATE / HOP).astype(np.int64)
        cropped = (rng.random(number) < config.crop_share) & (piece < length)
        span = np.minimum(np.where(cropped, piece, length), LONGEST)
        offset = np.floor(rng.random(number) * (length - span + 1))
        tempo = 1 + rng.uniform(-config.tempo, config.tempo, number)
        count = np.clip(np.rint(span / tempo), 2, LONGEST).astype(np.int64)
        rate = (span - 1) / (count - 1)
        level = rng.uniform(-config.level_db, config.level_db, number) * math.log(10) / 10
        first = self.starts[recording, version]
        group = config.batch * 8
        order = np.concatenate(
            [at + np.argsort(count[at : at + group], kind="stable") for at in range(0, number, group)]
        )
        columns = (recording, first, length - 1, offset, rate, count, level)
        return tuple(column[order].astype(np.float32 if column.dtype.kind == "f" else np.int64) for column in columns)

    def examples(self, batch: Batch, time: int) -> tuple[Tensor, Tensor]:
        """Frames of a batch, shape (time, K, batch, 46), interpolated for the tempo, and their mask."""
        step = torch.arange(time, device=self.device)[:, None, None]
        position = torch.minimum(batch.offset + step * batch.rate, batch.last.to(torch.float32))
        below = position.floor()
        weight = (position - below).unsqueeze(3)
        index = batch.first + below.long()
        after = batch.first + torch.minimum(below.long() + 1, batch.last)
        frames = self._flat[index] * (1 - weight) + self._flat[after] * weight
        frames[..., LOG_ENERGY] += batch.level
        return frames, (step < batch.count).to(torch.float32)

    def whole_utterances(self, rows: _Numbers, version: int) -> tuple[Tensor, Tensor]:
        """Frames of whole utterances, shape (time, K, n, 46), and their mask, for rows of shape (K, n)."""
        length = np.maximum(self.lengths[rows, version], 1)
        zeros, ones = np.zeros(rows.shape, dtype=np.float32), np.ones(rows.shape, dtype=np.float32)
        columns = (rows, self.starts[rows, version], length - 1, zeros, ones, length, zeros)
        batch = Batch(*(torch.from_numpy(np.ascontiguousarray(column)).to(self.device) for column in columns))
        return self.examples(batch, int(length.max()))
