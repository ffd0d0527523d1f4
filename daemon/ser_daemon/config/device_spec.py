"""The setting `audio.device` as a type: the default device, a device by name or index, a file, stdin, or a
Wyoming service."""

from __future__ import annotations

import contextlib
import functools
import re
from dataclasses import dataclass
from pathlib import Path

_INDEX = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class DefaultDevice:
    """The capture device that the sound system offers first."""

    def __str__(self) -> str:
        return "default"


@dataclass(frozen=True, slots=True)
class DeviceName:
    """A capture device, by its name or a part of it."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class DeviceIndex:
    """A capture device, by PortAudio's index."""

    index: int

    def __str__(self) -> str:
        return str(self.index)


@dataclass(frozen=True, slots=True)
class AudioFile:
    """A WAV or FLAC file."""

    path: str
    """As written after `file:`; may be empty or begin with `~`."""

    def __str__(self) -> str:
        return f"file:{self.path}"


@dataclass(frozen=True, slots=True)
class StandardInput:
    """Audio from a pipe on standard input."""

    def __str__(self) -> str:
        return "stdin"


@dataclass(frozen=True, slots=True)
class WyomingService:
    """The microphone of a Wyoming service."""

    uri: str
    """As written after `wyoming:`; not checked."""

    def __str__(self) -> str:
        return f"wyoming:{self.uri}"


CaptureDeviceSpec = DefaultDevice | DeviceName | DeviceIndex
"""What the sound system is asked for."""

LiveSpec = CaptureDeviceSpec | WyomingService
"""What never ends, but may vanish and come back."""

DeviceSpec = LiveSpec | AudioFile | StandardInput


_RECORDINGS = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".mp4", ".aac", ".webm", ".aiff")


def meant_file(text: str) -> str | None:
    """Return `file:PATH` if the name of a device is rather the path of a recording, else `None`.

    It is if it ends like one, or if there is a file of this path.
    """
    if not isinstance(parse_device(text), DeviceName):
        return None
    with contextlib.suppress(OSError, RuntimeError, ValueError):
        if text.lower().endswith(_RECORDINGS) or ("/" in text and Path(text).expanduser().is_file()):
            return f"file:{text}"
    return None


@functools.lru_cache(maxsize=16)
def parse_device(text: str) -> DeviceSpec:
    """Parse a device specification. Any text is one: what is nothing else is a name.

    `str` of the result is the text again, but for leading zeros of an index.
    """
    if text == "default":
        return DefaultDevice()
    if text == "stdin":
        return StandardInput()
    if text.startswith("file:"):
        return AudioFile(text.removeprefix("file:"))
    if text.startswith("wyoming:"):
        return WyomingService(text.removeprefix("wyoming:"))
    if _INDEX.fullmatch(text):
        return DeviceIndex(int(text))
    return DeviceName(text)
