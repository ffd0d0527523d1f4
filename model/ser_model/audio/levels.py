"""Levels of a stream of frames: noise floor, gain for the voice activity detector, speech level, loud extent."""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ser_model.types import Samples

SILENCE_DBFS = -96.0
"""Lowest level reported; below the least significant bit of 16-bit audio."""


def dbfs(samples: npt.NDArray[np.float32], full_scale: float = 1.0) -> float:
    """Root mean square level of samples in ±`full_scale`, in dB relative to full scale, at least -96.

    Examples:
        >>> round(dbfs(np.full(100, 0.5, dtype=np.float32)), 2)
        -6.02
    """
    if len(samples) == 0:
        return SILENCE_DBFS
    power = float(samples.dot(samples)) / len(samples) / full_scale**2
    return max(10.0 * math.log10(power + 1e-12), SILENCE_DBFS)


class NoiseFloor:
    """The lowest level of the last eight seconds.

    An average would rise during speech and reject the rest of the sentence. The minimum is that of minimum statistics
    (Martin 2001, doi 10.1109/89.928915), without the bias correction.
    """

    _SPAN_SECONDS = 8.0
    _SLOTS = 16

    def __init__(self, frame_seconds: float, start_dbfs: float | None = None) -> None:
        self._frames_per_slot = max(1, round(self._SPAN_SECONDS / self._SLOTS / frame_seconds))
        self._minima: deque[float] = deque(maxlen=self._SLOTS)
        if start_dbfs is not None:
            self._minima.append(start_dbfs)
        self._current = math.inf
        self._count = 0
        self._smooth: float | None = None
        self.dbfs = start_dbfs if start_dbfs is not None else SILENCE_DBFS

    def push(self, level_dbfs: float) -> None:
        """Process the level of the next frame."""
        # The mean of two frames: a single quiet frame is not the noise floor.
        pair = level_dbfs if self._smooth is None else (level_dbfs + self._smooth) / 2
        self._smooth = level_dbfs
        self._current = min(self._current, pair)
        self._count += 1
        if self._count == self._frames_per_slot:
            self._minima.append(self._current)
            self._current, self._count = math.inf, 0
        self.dbfs = max(min(min(self._minima, default=math.inf), self._current), SILENCE_DBFS)


class DetectorGain:
    """Automatic gain that brings the loudest recent sound to the level that detectors expect.

    It falls within a syllable, rises slowly, and does not raise the noise floor to the level of speech. Only the
    detector gets the amplified copy; the network gets the original samples.
    """

    _TARGET_DBFS = -25.0
    _FLOOR_DBFS = -45.0
    _RISE_DB_PER_SECOND = 2.0
    # With a step in the first syllable, Silero misses some shouted sentences completely.
    _FALL_DB_PER_SECOND = 16.0
    # At the start the gain falls at once: the first sound is mostly the room.
    _SETTLING_SECONDS = 0.3
    _RANGE_DB = (-10.0, 40.0)

    def __init__(self, frame_seconds: float, start_db: float | None = None) -> None:
        self._rise = self._RISE_DB_PER_SECOND * frame_seconds
        self._fall = self._FALL_DB_PER_SECOND * frame_seconds
        self._settling = round(self._SETTLING_SECONDS / frame_seconds) if start_db is None else 0
        self.db = 20.0 if start_db is None else start_db

    def push(self, level_dbfs: float, floor_dbfs: float) -> float:
        """Process a frame's level and the noise floor; return the factor for this frame."""
        low, high = self._RANGE_DB
        ceiling = min(self._TARGET_DBFS - level_dbfs, self._FLOOR_DBFS - floor_dbfs, high)
        if self._settling > 0:
            self._settling -= 1
            self.db = max(min(self.db, ceiling), low)
        else:
            self.db = max(min(self.db + self._rise, max(ceiling, self.db - self._fall)), low)
        return float(10.0 ** (self.db / 20.0))


class SpeechLevel:
    """Level of an utterance's voiced frames above the noise floor, and whether a sample was clipped."""

    # One sample at full scale gives a frame of 512 about this level, so quieter frames need no search.
    _CLIP_FROM_DBFS = -28.0

    def __init__(self) -> None:
        self._power = 0.0
        self._frames = 0
        self.clipping = False
        """Whether a sample was at full scale."""

    def push(self, frame: Samples, level_dbfs: float, voiced: bool) -> None:
        """Process the next frame, its level, and whether it is voiced."""
        if voiced:
            self._power += 10.0 ** (level_dbfs / 10.0)
            self._frames += 1
        if level_dbfs > self._CLIP_FROM_DBFS and not self.clipping:
            self.clipping = is_clipped(frame)

    def snr_db(self, floor_dbfs: float) -> float | None:
        """Level of the voiced frames above the noise floor; `None` if there are none."""
        if not self._frames:
            return None
        return 10.0 * math.log10(self._power / self._frames) - floor_dbfs


def is_clipped(samples: Samples) -> bool:
    """Whether a sample is at full scale, the lowest or highest int16."""
    return bool(samples.max(initial=0) == 32767 or samples.min(initial=0) == -32768)


class LoudExtent:
    """The first and the last loud block of an utterance, without the lag of a detector.

    A block is loud if its peak is less than 30 dB below the utterance's peak so far, and above that of noise.
    """

    _RANGE_DB = 30.0
    # The peak of some milliseconds of Gaussian noise is about 10 dB above its level.
    _CREST_DB = 10.0

    def __init__(self, block: int) -> None:
        self._block = block
        self._peak = SILENCE_DBFS
        self._first: _Loud | None = None
        self._last: _Loud | None = None

    @property
    def first(self) -> int | None:
        """Position of the first loud block, `None` if there is none yet."""
        return None if self._first is None else self._first.start + self._loud_blocks(self._first)[0] * self._block

    @property
    def last(self) -> int:
        """Position after the last loud block, 0 if there is none yet."""
        if self._last is None:
            return 0
        return self._last.start + (self._loud_blocks(self._last)[-1] + 1) * self._block

    def push(self, samples: Samples, start: int, quiet_dbfs: float) -> None:
        """Process the samples from position `start`; `quiet_dbfs` is the level up to which there is no speech.

        The loud blocks within a piece are searched only when `first` or `last` is read.
        """
        samples = samples[: len(samples) - len(samples) % self._block]
        level = _peak_dbfs(max(int(samples.max(initial=0)), -int(samples.min(initial=0))))
        self._peak = max(self._peak, level)
        threshold = max(self._peak - self._RANGE_DB, quiet_dbfs + self._CREST_DB)
        if level > threshold:
            self._last = _Loud(samples, start, threshold)
            self._first = self._first or self._last

    def _loud_blocks(self, loud: _Loud) -> list[int]:
        peaks = np.abs(loud.samples.astype(np.int32)).reshape(-1, self._block).max(axis=1)
        return [index for index, peak in enumerate(peaks) if _peak_dbfs(int(peak)) > loud.threshold]


class _Loud(NamedTuple):
    """A piece of an utterance with at least one loud block."""

    samples: Samples
    start: int
    threshold: float


def _peak_dbfs(peak: int) -> float:
    return 20.0 * math.log10(max(peak, 0.5) / 32768.0)
