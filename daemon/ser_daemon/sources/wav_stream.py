"""Parse audio from a pipe: raw samples, or a WAV file without seeking.

The chunks of a WAV file: Microsoft, "Multimedia Programming Interface and Data Specifications 1.0" (RIFF,
WAVE), and "Multiple Channel Audio Data and WAVE Files" (WAVE_FORMAT_EXTENSIBLE).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ser_model.audio.foreign_formats import name_format, stdin_conversion
from ser_model.errors import SerError

Encoding = Literal["u8", "s16le", "s24le", "s32le", "f32le", "f64le"]

_PCM, _FLOAT, _EXTENSIBLE = 0x0001, 0x0003, 0xFFFE
_UNKNOWN_LENGTHS = (0, 0xFFFFFFFF)
# A header with metadata has a few hundred bytes; a longer one is damaged.
_LONGEST_HEADER = 1 << 20


@dataclass(frozen=True, slots=True)
class PcmFormat:
    """Format of interleaved samples."""

    rate: int
    """Frames per second."""
    channels: int
    encoding: Encoding

    @property
    def frame_bytes(self) -> int:
        """Bytes per frame, which is one sample of every channel."""
        return self.channels * _WIDTHS[self.encoding]

    def decode(self, data: bytes) -> npt.NDArray[np.float32]:
        """Decode whole frames to float32, shape (n, channels), full scale at ±1."""
        match self.encoding:
            case "u8":
                values = np.frombuffer(data, np.uint8).astype(np.float32) / 128 - 1
            case "s24le":
                wide = np.zeros((len(data) // 3, 4), np.uint8)
                wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
                values = wide.view("<i4")[:, 0].astype(np.float32) / 2**31
            case "s16le" | "s32le" as encoding:
                width = _WIDTHS[encoding]
                values = np.frombuffer(data, f"<i{width}").astype(np.float32) / 2 ** (8 * width - 1)
            case encoding:
                # A double out of range becomes an infinity, which the resampler replaces by 0.
                with np.errstate(over="ignore", invalid="ignore"):
                    values = np.frombuffer(data, f"<f{_WIDTHS[encoding]}").astype(np.float32)
        frames: npt.NDArray[np.float32] = values.astype(np.float32, copy=False).reshape(-1, self.channels)
        return frames


_WIDTHS: dict[Encoding, int] = {"u8": 1, "s16le": 2, "s24le": 3, "s32le": 4, "f32le": 4, "f64le": 8}
_ENCODINGS: dict[tuple[int, int], Encoding] = {
    (_PCM, 8): "u8",
    (_PCM, 16): "s16le",
    (_PCM, 24): "s24le",
    (_PCM, 32): "s32le",
    (_FLOAT, 32): "f32le",
    (_FLOAT, 64): "f64le",
}


class PcmStream:
    """Splits a stream of bytes into frames.

    Args:
        raw: The format of raw samples. `None` expects a WAV header.
    """

    def __init__(self, raw: PcmFormat | None = None) -> None:
        self.format = raw
        """The samples' format; `None` before the end of the WAV header."""
        self.ended = False
        """Whether all data that the WAV header announced was read. What follows is not audio."""
        self._pending = bytearray()
        self._header_bytes = 0
        """Bytes of the header that were parsed; they are no longer pending, so that nothing is parsed twice."""
        self._left: int | None = None
        self._in_data = raw is not None

    def feed(self, data: bytes) -> npt.NDArray[np.float32] | None:
        """Add bytes, in pieces of any size, and return the frames that they complete.

        Returns:
            Shape (n, channels), float32, full scale at ±1; `None` before the end of the WAV header.

        Raises:
            SerError: The data is not a readable WAV file.
        """
        self._pending += data
        if not self._in_data:
            self._parse_header()
        if not self._in_data or self.format is None:
            return None
        size = len(self._pending) if self._left is None else min(len(self._pending), self._left)
        size -= size % self.format.frame_bytes
        frames = self.format.decode(bytes(self._pending[:size]))
        del self._pending[:size]
        if self._left is not None:
            self._left -= size
            self.ended = self._left < self.format.frame_bytes
        return frames

    def _parse_header(self) -> None:
        """Parse the chunks before the samples, each once it is complete."""
        if self._header_bytes == 0 and not self._parse_start():
            return
        while len(self._pending) >= 8:
            kind, size = struct.unpack_from("<4sI", self._pending)
            if kind == b"data":
                self._start_data(size)
                return
            # Chunks start at even positions: RIFF pads an odd chunk by a byte that its size does not count.
            length = 8 + size + size % 2
            if self._header_bytes + length > _LONGEST_HEADER:
                raise SerError(f"stdin's WAV header is damaged: its chunk {kind!r} claims {size} bytes.")
            if len(self._pending) < length:
                return
            if kind == b"fmt ":
                self.format = _parse_format(bytes(self._pending[8 : 8 + size]))
            del self._pending[:length]
            self._header_bytes += length

    def _parse_start(self) -> bool:
        """Check the first twelve bytes, as far as they are there; return whether all are."""
        head = bytes(self._pending[:12])
        if not (b"RIFF".startswith(head[:4]) and b"WAVE".startswith(head[8:12])):
            if name := name_format(head):
                raise SerError(f"stdin carries {name}, expected WAV; {stdin_conversion(name)}")
            raise SerError(
                f"stdin carries no WAV file: it starts with {head[:12]!r}, expected RIFF....WAVE; "
                "for raw samples give their rate, channels and format."
            )
        if len(head) < 12:
            return False
        del self._pending[:12]
        self._header_bytes = 12
        return True

    def _start_data(self, size: int) -> None:
        if self.format is None:
            raise SerError("stdin's WAV header is damaged: its data comes before its format.")
        del self._pending[:8]
        # Programs that write to a pipe do not know the length, and write 0 or the largest number.
        self._left = None if size in _UNKNOWN_LENGTHS else size
        self._in_data = True


def _parse_format(body: bytes) -> PcmFormat:
    """Parse the chunk `fmt `: a WAVEFORMATEX. For WAVE_FORMAT_EXTENSIBLE the tag is in the GUID."""
    if len(body) < 16:
        raise SerError(f"stdin's WAV header is damaged: its format has {len(body)} bytes, expected 16 or more.")
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", body)
    if tag == _EXTENSIBLE and len(body) >= 26:
        (tag,) = struct.unpack_from("<H", body, 24)
    encoding = _ENCODINGS.get((tag, bits))
    if encoding is None or channels == 0:
        raise SerError(
            f"stdin's WAV file has format {tag:#06x} with {bits} bits and {channels} channels; "
            "expected PCM of 8, 16, 24 or 32 bits or float of 32 or 64, with at least one channel."
        )
    return PcmFormat(rate, channels, encoding)
