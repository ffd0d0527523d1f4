"""A WAV or FLAC file as an audio source."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path

import numpy as np

from ser_daemon.config.audio import AudioConfig
from ser_daemon.sources.base import Chunk, boot_time
from ser_model.audio.files import AudioFileReader
from ser_model.c_stderr import silence_c_stderr
from ser_model.errors import SerError
from ser_model.types import SAMPLE_RATE, Samples


class FileSource:
    """Reads a file in blocks of `read_ms`, in real time or as fast as possible.

    In real time a read returns when the block's last sample is due, and reports that time as its arrival. A late call
    does not shift the schedule.
    """

    live = False

    def __init__(self, path: Path, config: AudioConfig) -> None:
        self.name = str(path)
        self._path = path
        self._channel = config.channel
        self._block = max(1, config.read_ms * SAMPLE_RATE // 1000)
        self._realtime = config.pace == "realtime"
        self._reader: AudioFileReader | None = None
        self._fifo = _SampleFifo()
        self._started = 0.0
        self._samples_read = 0

    def open(self) -> None:
        """Open the file at its beginning.

        Raises:
            SerError: The file does not exist, is not audio, or is empty.
        """
        self.close()
        silence_c_stderr()
        self._reader = AudioFileReader(self._path, self._channel)
        self._fifo = _SampleFifo()
        self._samples_read = 0
        self._started = boot_time()

    def read(self) -> Chunk | None:
        """Return the next block, or `None` at the end. The last block may be shorter.

        Raises:
            SerError: The file is damaged or not open.
        """
        if self._reader is None:
            raise SerError(f"{self.name} is not open.")
        while len(self._fifo) < self._block and (piece := self._reader.read()) is not None:
            self._fifo.put(piece)
        samples = self._fifo.take(self._block)
        if len(samples) == 0:
            return None
        self._samples_read += len(samples)
        if not self._realtime:
            return Chunk(samples, boot_time())
        due = self._started + self._samples_read / SAMPLE_RATE
        time.sleep(max(0.0, due - boot_time()))
        return Chunk(samples, due)

    def close(self) -> None:
        """Close the file; may be called more than once."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None


class _SampleFifo:
    """A queue of samples. It turns the uneven output of a resampler into blocks."""

    def __init__(self) -> None:
        self._pieces: deque[Samples] = deque()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def put(self, samples: Samples) -> None:
        self._pieces.append(samples)
        self._length += len(samples)

    def take(self, count: int) -> Samples:
        """Remove and return `count` samples, or all if there are fewer."""
        if self._pieces and len(self._pieces[0]) >= count:
            samples = self._pieces[0]
            self._pieces[0], self._length = samples[count:], self._length - count
            return samples[:count]
        samples = np.concatenate([np.zeros(0, np.int16), *self._pieces])
        self._pieces.clear()
        self._length = 0
        if len(samples) > count:
            self.put(samples[count:])
        return samples[:count]
