"""A WAV or FLAC file as an audio source."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path

import numpy as np

from ser_daemon.config.audio import AudioConfig
from ser_daemon.sources.base import Chunk, boot_time
from ser_model.audio.files import AudioFileReader
from ser_model.errors import SerError
from ser_model.types import SAMPLE_RATE, Samples


class FileSource:
    """Reads a file in blocks of `read_ms`, in real time or as fast as it goes.

    In real time a read returns when its last sample would have been spoken, and says so as its arrival
    even if the caller came late: the file never falls behind its own schedule.
    """

    live = False

    def __init__(self, path: Path, config: AudioConfig) -> None:
        self.name = str(path)
        self._path = path
        self._channel = config.channel
        self._block = max(1, config.read_ms * SAMPLE_RATE // 1000)
        self._realtime = config.pace == "realtime"
        self._reader: AudioFileReader | None = None
        self._ready = _Fifo()
        self._started = 0.0
        self._given = 0

    def open(self) -> None:
        """Open the file at its beginning.

        Raises:
            SerError: there is no such file, it is not audio or it is empty
        """
        self.close()
        self._reader = AudioFileReader(self._path, self._channel)
        self._ready = _Fifo()
        self._given = 0
        self._started = boot_time()

    def read(self) -> Chunk | None:
        """Give the next block (the last may be shorter); None at the end.

        Raises:
            SerError: the file is damaged, or not open
        """
        if self._reader is None:
            raise SerError(f"{self.name} is not open.")
        while len(self._ready) < self._block and (piece := self._reader.read()) is not None:
            self._ready.put(piece)
        samples = self._ready.take(self._block)
        if len(samples) == 0:
            return None
        self._given += len(samples)
        if not self._realtime:
            return Chunk(samples, boot_time())
        due = self._started + self._given / SAMPLE_RATE
        time.sleep(max(0.0, due - boot_time()))
        return Chunk(samples, due)

    def close(self) -> None:
        """Close the file; may be called more than once."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None


class _Fifo:
    """Samples in, the same samples out in other pieces; a resampler's output comes in uneven ones."""

    def __init__(self) -> None:
        self._pieces: deque[Samples] = deque()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def put(self, samples: Samples) -> None:
        self._pieces.append(samples)
        self._length += len(samples)

    def take(self, count: int) -> Samples:
        """At most `count` samples, fewer if there are fewer."""
        held = np.concatenate([np.zeros(0, np.int16), *self._pieces])
        self._pieces.clear()
        self._length = 0
        if len(held) > count:
            self.put(held[count:])
        return held[:count]
