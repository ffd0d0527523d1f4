"""The section `audio` of the configuration: settings of the audio source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from ser_daemon.config.device_spec import DeviceSpec, parse_device
from ser_model.config import Range

Pace = Literal["realtime", "fast"]

RawFormat = Literal["s16le", "s32le", "f32le", "u8"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioConfig:
    """Where the audio comes from and how it is read."""

    device: str = "default"
    """`default`, a device's name or part of it, its index, `file:PATH`, `stdin`, or a Wyoming service as
    `wyoming:tcp://HOST:PORT` or `wyoming:unix:///PATH`."""
    channel: Annotated[int, Range(1, 64, "counted from 1")] | None = None
    """Channel to use, from 1. `None` uses the mean of all channels."""
    latency_ms: Annotated[int, Range(10, 2000, "milliseconds")] = 200
    """Buffer requested from the sound system: how late a read may be without losing samples."""
    read_ms: Annotated[int, Range(10, 1000, "milliseconds")] = 160
    """Audio per read. A multiple of the detector's 32 ms frame keeps no samples waiting for the next read.
    Longer reads cost less, because the detector's weights stay in the processor's cache."""
    pace: Pace = "realtime"
    """How a file is read: in real time, or as fast as possible."""
    raw_rate: Annotated[int, Range(4000, 192_000, "samples per second")] | None = None
    """Samples per second of raw audio on stdin. `None` expects a WAV file."""
    raw_channels: Annotated[int, Range(1, 64, "channels")] = 1
    """Channels of raw audio on stdin."""
    raw_format: RawFormat = "s16le"
    """Sample format of raw audio on stdin."""

    @property
    def device_spec(self) -> DeviceSpec:
        """The device, parsed."""
        return parse_device(self.device)
