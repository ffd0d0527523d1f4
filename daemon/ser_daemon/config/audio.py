"""Settings of the audio source; the config file's section `audio` holds the same names."""

from __future__ import annotations

from dataclasses import dataclass

from ser_daemon.config.device_spec import DeviceSpec, parse_device

PACES: tuple[str, ...] = ("realtime", "fast")
"""How fast a file may be read."""

RAW_FORMATS: tuple[str, ...] = ("s16le", "s32le", "f32le", "u8")
"""Sample formats of raw audio on stdin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioConfig:
    """Where the audio comes from and how it is read."""

    device: str = "default"
    """`default`, a device's name or part of it, its index, `file:PATH` or `stdin`."""
    channel: int | None = None
    """Channel to listen to, from 1; None: the mean of all channels."""
    latency_ms: int = 200
    """Buffer that is asked of the sound system: how late a read may come round without losing samples."""
    read_ms: int = 160
    """Audio that one read gives. A multiple of the detector's 32 ms: else the last samples of a read wait for the next
    one before they are judged. More at once costs less: the detector finds its weights in the cache."""
    pace: str = "realtime"
    """How fast a file is read: `realtime` or `fast` (as fast as it goes)."""
    raw_rate: int | None = None
    """Samples per second of raw audio on stdin; None: stdin carries a WAV file."""
    raw_channels: int = 1
    """Channels of raw audio on stdin."""
    raw_format: str = "s16le"
    """Format of raw audio on stdin: `s16le`, `s32le`, `f32le` or `u8`."""

    @property
    def device_spec(self) -> DeviceSpec:
        """The device, parsed."""
        return parse_device(self.device)
