"""Reads and resamples audio of any format as 16 kHz mono int16.

The size of the pieces has no influence on the samples, so a streamed file equals a file read at once.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ser_model.audio.foreign_formats import HEAD_BYTES, conversion, name_format
from ser_model.errors import SerError
from ser_model.types import SAMPLE_RATE, Samples

if TYPE_CHECKING:
    import soundfile
    import soxr

LOWEST_RATE = 1_000
HIGHEST_RATE = 384_000
"""Rates outside come from broken headers."""

MOST_CHANNELS = 64
MOST_VALUES = 3_072_000
"""Values a second, over all channels: 64 channels at 48 kHz (AES10, MADI), or 8 at 384 kHz."""

_READ_SECONDS = 1.0
_READ_VALUES = 1 << 18
"""Values of one read at most: 1 MiB as float32. A second of one channel at 192 kHz is shorter."""
_FULL_SCALE = 32_768.0


class Resampler:
    """Converts a stream of any rate and channel count to 16 kHz mono int16.

    It keeps state between pieces. NaN and infinities become 0; values beyond full scale are clipped.

    Args:
        rate: samples per second of the input.
        channels: channels of the input.
        channel: the channel to keep, from 1. `None` keeps the mean of all.

    Raises:
        SerError: the rate or the number of channels is out of range, or there is no such channel.

    Examples:
        >>> Resampler(48_000).push(np.zeros(4_800, dtype=np.int16)).dtype
        dtype('int16')
    """

    def __init__(self, rate: float, channels: int = 1, channel: int | None = None) -> None:
        if not LOWEST_RATE <= rate <= HIGHEST_RATE:
            # An integer of hundreds of digits is no float.
            shown = "beyond any number of" if abs(rate) > sys.float_info.max else f"{rate:g}"
            raise SerError(f"its sample rate is {shown} Hz, expected {LOWEST_RATE} to {HIGHEST_RATE} Hz.")
        if not 1 <= channels <= MOST_CHANNELS:
            raise SerError(f"it has {channels} channels, expected 1 to {MOST_CHANNELS}.")
        if rate * channels > MOST_VALUES:
            raise SerError(
                f"it has {channels} channels at {rate:g} Hz; expected at most {MOST_VALUES // channels} Hz for so many."
            )
        if channel is not None and not 1 <= channel <= channels:
            raise SerError(
                f"channel {channel} was asked for, expected 1 to {channels}; leave the channel out for the mean of all."
            )
        self._channel = channel
        self._soxr: soxr.ResampleStream | None = None
        if rate != SAMPLE_RATE:
            import soxr

            self._soxr = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32")

    def push(self, frames: npt.NDArray[np.int16] | npt.NDArray[np.float32]) -> Samples:
        """Process frames; return the samples that are ready.

        Args:
            frames: shape (n,) or (n, channels), int16, or float32 with full scale at ±1; n may be 0.

        Returns:
            shape (m,), int16; m may be 0 while the resampler fills
        """
        mono = self._mono(frames)
        if self._soxr is not None:
            mono = self._soxr.resample_chunk(mono)
        return _to_int16(mono)

    def flush(self) -> Samples:
        """Return the remaining samples. Nothing may be pushed afterwards."""
        if self._soxr is None:
            return np.zeros(0, np.int16)
        return _to_int16(self._soxr.resample_chunk(np.zeros(0, np.float32), last=True))

    def _mono(self, frames: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """The selected channel, or the mean, as float32 in units of one int16 step."""
        if frames.dtype == np.int16:
            scaled = frames.astype(np.float32)
        else:
            finite = np.nan_to_num(frames, nan=0.0, posinf=0.0, neginf=0.0)
            scaled = (np.clip(finite, -1.0, 1.0) * _FULL_SCALE).astype(np.float32)
        if scaled.ndim == 1:
            return scaled
        if self._channel is not None:
            return np.ascontiguousarray(scaled[:, self._channel - 1])
        return scaled[:, 0].copy() if scaled.shape[1] == 1 else scaled.mean(axis=1, dtype=np.float32)


def _to_int16(mono: npt.NDArray[np.float32]) -> Samples:
    return np.clip(np.rint(mono), -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)


class AudioFileReader:
    """Reads a WAV or FLAC file in pieces as 16 kHz mono int16.

    Args:
        path: the file, with any rate, bit depth and number of channels.
        channel: the channel to keep, from 1. `None` keeps the mean of all.

    Raises:
        SerError: the file does not exist, is not audio, holds no samples, has no such channel, or too many values a
            second (`Resampler`).
    """

    def __init__(self, path: Path, channel: int | None = None) -> None:
        self._path = path
        self._file = _open(path)
        try:
            if self._file.frames == 0:
                raise SerError("it holds no audio, its header announces 0 samples.")
            self._resampler = Resampler(self._file.samplerate, self._file.channels, channel)
        except SerError as error:
            self._file.close()
            raise SerError(f"{path} cannot be used: {error}") from error
        self._left = self._file.frames
        self._ended = False

    def read(self, seconds: float = _READ_SECONDS) -> Samples | None:
        """Return the samples of the next `seconds` or fewer, shape (n,), n may be 0; `None` at the end.

        Raises:
            SerError: the file is damaged.
        """
        if self._ended:
            return None
        import soundfile

        frames = max(1, min(round(seconds * self._file.samplerate), _READ_VALUES // self._file.channels))
        try:
            piece = self._file.read(frames, dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise SerError(f"{self._path} is damaged: reading it stopped with {_reason(error)}.") from error
        self._left -= len(piece)
        if len(piece) == frames:
            return self._resampler.push(piece)
        self._ended = True
        if self._left > 0:
            missing = self._left / self._file.samplerate
            raise SerError(f"{self._path} is damaged: it ends {missing:.2f} s before the length it announces.")
        return np.concatenate([self._resampler.push(piece), self._resampler.flush()])

    def close(self) -> None:
        """Close the file. Further calls do nothing."""
        self._file.close()

    def __enter__(self) -> AudioFileReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_audio(path: Path | str, channel: int | None = None) -> Samples:
    """Read a whole WAV or FLAC file as 16 kHz mono int16, shape (n,).

    Raises:
        SerError: see `AudioFileReader`.
    """
    with AudioFileReader(Path(path), channel) as reader:
        pieces = []
        while (piece := reader.read()) is not None:
            pieces.append(piece)
        return np.concatenate(pieces)


def _open(path: Path) -> soundfile.SoundFile:
    import soundfile

    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            # Opening a pipe without a writer would block.
            raise SerError(f"{path} is no file but a pipe or a device; expected a WAV or FLAC file.")
        # libsndfile reports every failure to open a file as "System error".
        with path.open("rb") as handle:
            head = handle.read(HEAD_BYTES)
        if not head:
            raise SerError(f"{path} is empty; expected a WAV or FLAC file.")
        # soundfile cannot encode names that are not valid UTF-8.
        return soundfile.SoundFile(os.fsencode(path))
    except OSError as error:
        raise SerError(f"Cannot read {path}: {error.strerror or error}.") from error
    except (soundfile.SoundFileError, RuntimeError, TypeError) as error:
        # A damaged FLAC file needs no conversion.
        if (name := name_format(head)) not in (None, "FLAC"):
            raise SerError(
                f"{path} is {name} that cannot be read, expected WAV or FLAC; convert it: {conversion(str(path))}"
            ) from error
        raise SerError(f"{path} is not a WAV or FLAC file that can be read: {_reason(error)}.") from error


def _reason(error: BaseException) -> str:
    text = str(getattr(error, "error_string", error))
    return text.rstrip(". \n")
