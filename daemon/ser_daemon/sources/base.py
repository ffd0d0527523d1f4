"""What every audio source gives, and how it fails."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

from ser_model.errors import SerError
from ser_model.types import Samples

ANSWER_SECONDS = 10.0
"""A sound system that has not answered by then will not."""


class DeviceError(SerError):
    """A capture device cannot be used."""


class NoSuchDevice(DeviceError):  # noqa: N818
    """No capture device answers to that name or index, or several do."""


class DeviceBusy(DeviceError):  # noqa: N818
    """The device exists, but another program holds it or it refuses to be opened."""


class NoPortAudio(DeviceError):  # noqa: N818
    """The PortAudio library, through which devices are reached, is not installed."""


class NoAnswer(DeviceError):  # noqa: N818
    """A library call does not come back."""

    def __init__(self) -> None:
        super().__init__(f"The sound system has not answered for {ANSWER_SECONDS:g} s; is its server stuck?")


class DeviceLost(DeviceError):  # noqa: N818
    """The device went away while it was being read."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one read gives."""

    samples: Samples
    """Shape (n,), int16, 16 kHz mono; n may be 0 while the resampler fills."""
    arrival: float
    """Boot-time clock in seconds at which the last sample was available (see `boot_time`)."""
    overflowed: bool = False
    """The device says that samples were lost before this chunk; it does not say how many."""


class AudioSource(Protocol):
    """A place that samples come from. One thread opens, reads and closes it."""

    name: str
    """As shown to people: the device's name, the file's path, `stdin`."""
    live: bool
    """True: a device, which never ends but may vanish and be opened again. False: it ends."""

    def open(self) -> None:
        """Open the source.

        Raises:
            DeviceError: a device cannot be used (now).
            SerError: a file or stdin cannot be read as audio.
        """

    def read(self) -> Chunk | None:
        """Wait for the next samples, about `AudioConfig.read_ms` of them; None at the end.

        Raises:
            DeviceLost: the device is gone; `close` and `open` may bring it back.
            SerError: the file or stdin turned out to be broken.
        """

    def close(self) -> None:
        """Close the source; may be called more than once."""


def boot_time() -> float:
    """Seconds on the clock that also runs in suspend (clock_gettime(2), CLOCK_BOOTTIME)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
