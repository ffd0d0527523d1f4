"""Audio from a pipe on standard input."""

from __future__ import annotations

import os
import select

import numpy as np

from ser_daemon.config.audio import AudioConfig
from ser_daemon.sources.base import Chunk, boot_time
from ser_daemon.sources.wav_stream import PcmFormat, PcmStream
from ser_model.audio.files import Resampler
from ser_model.errors import SerError
from ser_model.types import Samples

# Largest read: the default capacity of a pipe (pipe(7)). A file as stdin would give any number of bytes at once.
_PIPE_BYTES = 65_536


class StdinSource:
    """Reads a WAV file or raw samples from a pipe, as fast as they are written.

    A read waits about `read_ms` at most, and returns an empty chunk if nothing was written.

    Args:
        config: `raw_rate`, `raw_channels` and `raw_format` describe raw samples. Without a rate a WAV file is expected.
        fd: The file descriptor to read. It is not closed.
    """

    live = False

    def __init__(self, config: AudioConfig, fd: int = 0) -> None:
        self.name = "stdin"
        self._config = config
        self._fd = fd
        self._stream: PcmStream | None = None
        self._resampler: Resampler | None = None
        self._open = False
        self._ended = False
        self._received = False

    def open(self) -> None:
        """Prepare to read. The first reads parse the WAV header.

        Data that was written between a `close` and the next `open` is dropped.

        Raises:
            SerError: stdin is closed or a terminal, or raw samples have too many channels for their rate.
        """
        if self._open:
            return
        if self._stream is None:
            self._check_descriptor()
            rate, config = self._config.raw_rate, self._config
            raw = None if rate is None else PcmFormat(rate, config.raw_channels, config.raw_format)
            if raw is not None:
                self._resampler = self._make_resampler(raw)
            self._stream = PcmStream(raw)
        else:
            self._drop_pending(self._stream)
        self._open = True

    def read(self) -> Chunk | None:
        """Return the samples written within `read_ms`, or `None` at the end of the pipe.

        Raises:
            SerError: The data is not audio, or the pipe ended without any.
        """
        if self._stream is None or not self._open:
            raise SerError("stdin is not open.")
        if self._ended:
            return None
        return Chunk(self._collect(self._stream), boot_time())

    def close(self) -> None:
        """Stop reading. The descriptor and the position in the stream stay as they are."""
        self._open = False

    def _check_descriptor(self) -> None:
        try:
            os.fstat(self._fd)
        except OSError as error:
            raise SerError(f"stdin cannot be read: {error.strerror}.") from error
        if os.isatty(self._fd):
            raise SerError("stdin is a terminal; expected audio from a pipe: arecord -t wav | ser-daemon --mic stdin")

    def _drop_pending(self, stream: PcmStream) -> None:
        while not self._ended and self._wait(0.0):
            self._take(stream, _PIPE_BYTES)

    def _collect(self, stream: PcmStream) -> Samples:
        """Read until there are `read_ms` of audio, `read_ms` have passed, or the pipe ends."""
        deadline = boot_time() + self._config.read_ms / 1000
        pieces = [np.zeros(0, np.int16)]
        left = self._block_bytes(stream)
        while left > 0 and not self._ended and self._wait(deadline - boot_time()):
            count, samples = self._take(stream, min(left, _PIPE_BYTES))
            pieces.append(samples)
            left -= count
        return np.concatenate(pieces)

    def _block_bytes(self, stream: PcmStream) -> int:
        """Return the size of `read_ms` of audio in bytes: whole frames, at least one."""
        if stream.format is None:
            return _PIPE_BYTES
        return max(1, stream.format.rate * self._config.read_ms // 1000) * stream.format.frame_bytes

    def _wait(self, seconds: float) -> bool:
        """Wait at most `seconds`; return whether there is data, or the end."""
        return bool(select.select([self._fd], [], [], max(0.0, seconds))[0])

    def _take(self, stream: PcmStream, size: int) -> tuple[int, Samples]:
        """Read once, at most `size` bytes. Return the number of bytes and the samples that they complete."""
        data = os.read(self._fd, size)
        frames = stream.feed(data)
        samples = np.zeros(0, np.int16)
        if frames is not None and stream.format is not None:
            if self._resampler is None:
                self._resampler = self._make_resampler(stream.format)
            samples = self._resampler.push(frames)
            self._received = self._received or len(frames) > 0
        if not data or stream.ended:
            self._ended = True
            if self._resampler is None or not self._received:
                raise SerError("stdin ended before any audio came; expected a WAV file or raw samples.")
            samples = np.concatenate([samples, self._resampler.flush()])
        return len(data), samples

    def _make_resampler(self, format_: PcmFormat) -> Resampler:
        try:
            return Resampler(format_.rate, format_.channels, self._config.channel)
        except SerError as error:
            raise SerError(f"The audio on stdin cannot be used: {error}") from error
