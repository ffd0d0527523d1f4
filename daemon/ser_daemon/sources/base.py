"""The interface of audio sources, and their errors."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

from ser_model.errors import SerError
from ser_model.types import Samples

RESPONSE_SECONDS = 10.0
"""Time limit for calls into the sound system."""


class DeviceError(SerError):
    """A capture device cannot be used."""


class NoSuchDevice(DeviceError):  # noqa: N818
    """No capture device has that name or index, or several match."""


class DeviceBusy(DeviceError):  # noqa: N818
    """The device exists, but another program uses it."""


class NoPortAudio(DeviceError):  # noqa: N818
    """The PortAudio library is not installed."""


class NoResponse(DeviceError):  # noqa: N818
    """A call into the sound system does not return."""

    def __init__(self) -> None:
        super().__init__(f"The sound system has not answered for {RESPONSE_SECONDS:g} s; is its server stuck?")


class DeviceLost(DeviceError):  # noqa: N818
    """An open device has failed or gives no more samples."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The result of one read."""

    samples: Samples
    """Shape (n,), int16, 16 kHz mono. n may be 0 while the resampler fills."""
    arrival: float
    """Time of the last sample in seconds (`boot_time`)."""
    overflowed: bool = False
    """The device reports that samples before this chunk were lost; their number is not known."""


class AudioSource(Protocol):
    """A source of samples. A single thread opens, reads and closes it."""

    name: str
    """Name for users: the device's name, the file's path, or `stdin`."""
    live: bool
    """Whether the source is a device. A device has no end, but it may fail and be opened again."""

    def open(self) -> None:
        """Open the source.

        Raises:
            DeviceError: The device cannot be opened now.
            SerError: The file or stdin is not readable audio.
        """

    def read(self) -> Chunk | None:
        """Wait for the next samples, about `AudioConfig.read_ms` of them. Return `None` at the end.

        Raises:
            DeviceLost: The device has failed; `close` and `open` may restore it.
            SerError: The file or stdin is damaged.
        """

    def close(self) -> None:
        """Close the source; may be called more than once."""


def boot_time() -> float:
    """Return the time since boot in seconds, including suspend (clock_gettime(2), CLOCK_BOOTTIME)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
