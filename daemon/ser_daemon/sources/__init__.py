"""Where samples come from: a capture device, a file, or stdin."""

from ser_daemon.sources.base import (
    AudioSource,
    Chunk,
    DeviceBusy,
    DeviceError,
    DeviceLost,
    NoPortAudio,
    NoSuchDevice,
    boot_time,
)

__all__ = [
    "AudioSource",
    "Chunk",
    "DeviceBusy",
    "DeviceError",
    "DeviceLost",
    "NoPortAudio",
    "NoSuchDevice",
    "boot_time",
]
