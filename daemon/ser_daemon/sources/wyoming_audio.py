"""The audio of Wyoming's events `audio-start` and `audio-chunk`: its format, and 16 kHz mono from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from ser_daemon.sources.wav_stream import Encoding, PcmFormat
from ser_daemon.wire.encoding import describe
from ser_model.audio.files import Resampler
from ser_model.errors import SerError
from ser_model.types import Samples

AUDIO_EVENTS: Final = ("audio-start", "audio-chunk", "audio-stop")

_ENCODINGS: dict[int, Encoding] = {1: "u8", 2: "s16le", 3: "s24le", 4: "s32le"}
"""By `width` in bytes. A width of 1 is unsigned, as in WAV files and in the `wyoming` package; others are signed."""


def read_format(event: str, data: Mapping[str, object], payload_length: int = 0) -> PcmFormat:
    """Read and check the format that an audio event carries.

    Args:
        event: `audio-start` or `audio-chunk`, for messages.
        data: of the event.
        payload_length: bytes of audio in the event.

    Raises:
        SerError: a field is missing or no number, the width is not supported, or the payload ends within a frame.
    """
    rate, width, channels = (_number(event, data, name) for name in ("rate", "width", "channels"))
    if width not in _ENCODINGS:
        raise SerError(
            f"{event}: width is {width} bytes, expected 1 (unsigned), 2, 3 or 4 (signed); convert the audio."
        )
    format_ = PcmFormat(rate, channels, _ENCODINGS[width])
    if channels and payload_length % format_.frame_bytes:
        raise SerError(
            f"{event}: its payload of {payload_length} bytes ends within a frame, "
            f"expected a multiple of {format_.frame_bytes} (width {width}, channels {channels})."
        )
    return format_


def _number(event: str, data: Mapping[str, object], name: str) -> int:
    value = data.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise SerError(f"{event}: {name} is {describe(value)}, expected a whole number; see Wyoming's AudioStart.")
    return value


class WyomingDecoder:
    """Converts the payloads of one stream to 16 kHz mono. The size of the pieces has no influence.

    Args:
        format_: of the stream.
        channel: the channel to keep, from 1. `None` keeps the mean of all.

    Raises:
        SerError: the rate or the number of channels is out of range, or there is no such channel.
    """

    def __init__(self, format_: PcmFormat, channel: int | None = None) -> None:
        try:
            self._resampler = Resampler(format_.rate, format_.channels, channel)
        except SerError as error:
            raise SerError(f"The audio cannot be used: {error}") from error
        self.format = format_
        self._rest = b""

    def push(self, data: bytes) -> Samples:
        """Decode bytes; return the samples that are ready, shape (n,), int16, n may be 0."""
        data = self._rest + data
        whole = len(data) - len(data) % self.format.frame_bytes
        self._rest = data[whole:]
        if self.format.encoding == "s16le":
            return self._resampler.push(np.frombuffer(data[:whole], "<i2").reshape(-1, self.format.channels))
        return self._resampler.push(self.format.decode(data[:whole]))

    def flush(self) -> Samples:
        """Return the remaining samples. Nothing may be pushed afterwards."""
        return self._resampler.flush()
