"""Audio sources: capture devices, files, stdin and Wyoming services."""

from __future__ import annotations

from pathlib import Path

from ser_daemon.config.audio import AudioConfig
from ser_daemon.config.device_spec import AudioFile, StandardInput, WyomingService
from ser_daemon.sources.base import (
    RESPONSE_SECONDS,
    AudioSource,
    Chunk,
    DeviceBusy,
    DeviceError,
    DeviceLost,
    NoPortAudio,
    NoResponse,
    NoSuchDevice,
    boot_time,
)
from ser_daemon.sources.file import FileSource
from ser_daemon.sources.microphone import Microphone
from ser_daemon.sources.portaudio import Device, list_devices
from ser_daemon.sources.stdin import StdinSource
from ser_model.errors import SerError

__all__ = [
    "RESPONSE_SECONDS",
    "AudioSource",
    "Chunk",
    "Device",
    "DeviceBusy",
    "DeviceError",
    "DeviceLost",
    "NoPortAudio",
    "NoResponse",
    "NoSuchDevice",
    "boot_time",
    "list_devices",
    "make_source",
]


def make_source(config: AudioConfig) -> AudioSource:
    """Return the source that `config.device` specifies. It is not open, and nothing is looked up before `open`.

    Raises:
        SerError: `file:` names no path, or a home folder that does not exist; `wyoming:` names no address.
    """
    match config.device_spec:
        case StandardInput():
            return StdinSource(config)
        case AudioFile(path):
            return FileSource(_expanded(path), config)
        case WyomingService(uri):
            # Imported late: few daemons need it.
            from ser_daemon.sources.wyoming_microphone import WyomingMicrophone

            return WyomingMicrophone(uri, config)
        case device:
            return Microphone(device, config)


def _expanded(path: str) -> Path:
    if not path:
        raise SerError('"file:" names no file; expected file:PATH of a WAV or FLAC file.')
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise SerError(f"{path} cannot be read: there is no such home folder.") from error
