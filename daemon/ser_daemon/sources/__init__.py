"""Where samples come from: a capture device, a file, or stdin."""

from __future__ import annotations

from pathlib import Path

from ser_daemon.config.audio import AudioConfig
from ser_daemon.sources.base import (
    ANSWER_SECONDS,
    AudioSource,
    Chunk,
    DeviceBusy,
    DeviceError,
    DeviceLost,
    NoAnswer,
    NoPortAudio,
    NoSuchDevice,
    boot_time,
)
from ser_daemon.sources.file import FileSource
from ser_daemon.sources.microphone import Microphone
from ser_daemon.sources.portaudio import Device, list_devices
from ser_daemon.sources.stdin import StdinSource
from ser_model.errors import SerError

__all__ = [
    "ANSWER_SECONDS",
    "AudioSource",
    "Chunk",
    "Device",
    "DeviceBusy",
    "DeviceError",
    "DeviceLost",
    "NoAnswer",
    "NoPortAudio",
    "NoSuchDevice",
    "boot_time",
    "list_devices",
    "make_source",
]


def make_source(config: AudioConfig) -> AudioSource:
    """The source that `config.device` stands for, not yet opened: nothing is looked for before `open`.

    Raises:
        SerError: `file:` is followed by nothing, or by the home folder of nobody
    """
    if config.device == "stdin":
        return StdinSource(config)
    scheme, _, path = config.device.partition(":")
    if scheme == "file":
        return FileSource(_file(path), config)
    return Microphone(config)


def _file(path: str) -> Path:
    if not path:
        raise SerError('"file:" names no file; expected file:PATH of a WAV or FLAC file.')
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise SerError(f"{path} cannot be read: there is no such home folder.") from error
