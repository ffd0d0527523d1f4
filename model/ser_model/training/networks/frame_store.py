"""Frames of all recordings on one device, and what an epoch of training draws from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ser_model.features.features import HOP, LOG_ENERGY, SIZE
from ser_model.types import SAMPLE_RATE, Frames

_Numbers = npt.NDArray[Any]

LONGEST = 128
"""Frames of the longest example in training, 5.5 s; longer utterances are cut."""


class Variation(Protocol):
    """How examples vary in the space of the features: see `ser_model.training.networks.fit.FitConfig`."""

    @property
    def batch(self) -> int: ...  # noqa: D102
    @property
    def clean_share(self) -> float: ...  # noqa: D102
    @property
    def level_db(self) -> float: ...  # noqa: D102
    @property
    def tempo(self) -> float: ...  # noqa: D102
    @property
    def crop_share(self) -> float: ...  # noqa: D102
    @property
    def crop_seconds(self) -> tuple[float, float]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch for each of K networks; all of shape (K, batch)."""

    recording: Tensor
    first: Tensor
    """Where the version's frames begin in the store."""
    last: Tensor
    """Index of its last frame, counted from `first`."""
    offset: Tensor
    """Where the example begins, counted from `first`, a whole number."""
    rate: Tensor
    """Frames of the version for one of the example: above 1 is faster speech."""
    count: Tensor
    """Frames of the example."""
    level: Tensor
    """Change of the log energy."""

    def copy_(self, other: Batch) -> None:
        """Take over the values of another draw."""
        for name in self.__slots__:
            getattr(self, name).copy_(getattr(other, name))


class FrameStore:
    """All versions of all recordings.

    Args:
        frames: for each recording its versions, each of shape (time, 46); version 0 is clean; may be empty.
        device: `cpu` or `cuda`.
    """

    def __init__(self, frames: Sequence[Sequence[Frames]], device: str) -> None:
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
        """Mean and standard deviation of the features over all versions of some recordings, each of shape (46,)."""
        pieces = [
            np.arange(self.starts[row, 0], self.starts[row, -1] + self.lengths[row, -1])
            for row in rows
            if self.versions[row]
        ]
        frames = self._flat[torch.from_numpy(np.concatenate(pieces)).to(self.device)].double()
        return frames.mean(dim=0).float(), (frames.std(dim=0) + 1e-6).float()

    def epoch(
        self, rows: Sequence[_Numbers], variations: Sequence[Variation], rngs: Sequence[np.random.Generator]
    ) -> list[tuple[Batch, int]]:
        """Batch an epoch: each of a network's recordings once, varied; similar lengths together to spare padding.

        Args:
            rows: for each of K networks the recordings that it learns from; none without a version.
            variations: for each, how examples vary; all with the same `batch`.
            rngs: for each, where its draws come from.

        Returns:
            the batches, each with the number of frames of its longest example
        """
        batch = variations[0].batch
        steps = math.ceil(max(len(own) for own in rows) / batch)
        shuffled = rngs[0].permutation(steps)
        columns = [self._draw(*one, steps * batch) for one in zip(rows, variations, rngs, strict=True)]
        table = [np.stack([column[at] for column in columns]) for at in range(7)]
        # To batches, in an order common to all networks: lengths stay similar across them.
        table = [part.reshape(len(rows), steps, batch).swapaxes(0, 1)[shuffled] for part in table]
        longest = table[5].max(axis=(1, 2)).astype(int)
        parts = [torch.from_numpy(np.ascontiguousarray(part)).to(self.device) for part in table]
        return [(Batch(*(part[step] for part in parts)), int(longest[step])) for step in range(steps)]

    def _draw(self, own: _Numbers, how: Variation, rng: np.random.Generator, number: int) -> tuple[_Numbers, ...]:
        """Columns of a `Batch` for one network, shape (number,), sorted by length within groups of some batches."""
        rounds = math.ceil(number / len(own))
        recording = np.concatenate([rng.permutation(own) for _ in range(rounds)])[:number]
        clean = rng.random(number) < how.clean_share
        version = np.where(clean, 0, rng.integers(0, self.versions[recording]))
        length = self.lengths[recording, version]
        piece = (rng.uniform(*how.crop_seconds, number) * SAMPLE_RATE / HOP).astype(np.int64)
        cropped = (rng.random(number) < how.crop_share) & (piece < length)
        span = np.minimum(np.where(cropped, piece, length), LONGEST)
        offset = np.floor(rng.random(number) * (length - span + 1))
        tempo = 1 + rng.uniform(-how.tempo, how.tempo, number)
        count = np.clip(np.rint(span / tempo), 2, LONGEST).astype(np.int64)
        rate = (span - 1) / (count - 1)
        level = rng.uniform(-how.level_db, how.level_db, number) * math.log(10) / 10
        first = self.starts[recording, version]
        group = how.batch * 8
        order = np.concatenate(
            [at + np.argsort(count[at : at + group], kind="stable") for at in range(0, number, group)]
        )
        columns = (recording, first, length - 1, offset, rate, count, level)
        return tuple(column[order].astype(np.float32 if column.dtype.kind == "f" else np.int64) for column in columns)

    def examples(self, draw: Batch, time: int) -> tuple[Tensor, Tensor]:
        """Frames of a draw, shape (time, K, batch, 46), interpolated where the tempo asks for it, and their mask."""
        step = torch.arange(time, device=self.device)[:, None, None]
        position = torch.minimum(draw.offset + step * draw.rate, draw.last.to(torch.float32))
        below = position.floor()
        weight = (position - below).unsqueeze(3)
        index = draw.first + below.long()
        after = draw.first + torch.minimum(below.long() + 1, draw.last)
        frames = self._flat[index] * (1 - weight) + self._flat[after] * weight
        frames[..., LOG_ENERGY] += draw.level
        return frames, (step < draw.count).to(torch.float32)

    def whole(self, rows: _Numbers, version: int) -> tuple[Tensor, Tensor]:
        """Frames of whole utterances, shape (time, K, n, 46), and their mask, for rows of shape (K, n)."""
        length = np.maximum(self.lengths[rows, version], 1)
        zeros, ones = np.zeros(rows.shape, dtype=np.float32), np.ones(rows.shape, dtype=np.float32)
        columns = (rows, self.starts[rows, version], length - 1, zeros, ones, length, zeros)
        draw = Batch(*(torch.from_numpy(np.ascontiguousarray(column)).to(self.device) for column in columns))
        return self.examples(draw, int(length.max()))
