"""Access to the PortAudio library: load it, restart it to find new devices, and choose a device."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ser_daemon.config.device_spec import CaptureDeviceSpec, DefaultDevice, DeviceIndex
from ser_daemon.sources.alsa_config import check_alsa_config
from ser_daemon.sources.base import DeviceError, NoPortAudio, NoSuchDevice
from ser_model import console
from ser_model.c_stderr import silence_c_stderr

_MISSING = (
    "The PortAudio library is not installed, without which no microphone can be opened; "
    "install the package libportaudio2: sudo apt-get install libportaudio2"
)
_NONE = "There is no capture device; plug in a microphone, or start the sound server."
_NONE_IN_CONTAINER = (
    "There is no capture device in this container; pass the sound server's socket or /dev/snd into it, "
    "and run it as the user that may use them."
)

_lock = threading.RLock()
_open_streams = 0


@dataclass(frozen=True, slots=True)
class Device:
    """A capture device."""

    index: int
    """PortAudio's index. It changes when devices come and go, and between processes."""
    name: str
    channels: int
    """Most channels to capture. Sound servers report more than the hardware has."""
    rate: float
    """Default sample rate in Hz."""
    host_api: str
    default: bool
    """Whether it is the default device."""


def load_library() -> Any:
    """Return the module `sounddevice`. The first call imports it, which loads and starts PortAudio.

    Raises:
        NoPortAudio: The library is not installed.
        DeviceError: The library does not start, or ALSA's configuration would end the process.
    """
    with _lock:
        silence_c_stderr()
        if "sounddevice" not in sys.modules:
            check_alsa_config()
        try:
            import sounddevice
        except OSError as error:
            raise NoPortAudio(_MISSING) from error
        except Exception as error:
            # The import starts PortAudio before `sounddevice.PortAudioError` is defined.
            raise DeviceError(f"The PortAudio library does not start: {error}.") from error
        return sounddevice


def list_devices() -> list[Device]:
    """Return the present capture devices in PortAudio's order.

    Raises:
        NoPortAudio: The library is not installed.
        DeviceError: The library does not start.
    """
    with _lock:
        sd = load_library()
        _rescan(sd)
        return _query_devices(sd)


@contextlib.contextmanager
def stream_opening() -> Iterator[tuple[Any, list[Device]]]:
    """Lock PortAudio while a stream is opened; yield the module `sounddevice` and the present devices."""
    global _open_streams
    with _lock:
        sd = load_library()
        _rescan(sd)
        yield sd, _query_devices(sd)
        _open_streams += 1


def stream_closed() -> None:
    """Record that a stream which was opened within `stream_opening` is closed."""
    global _open_streams
    with _lock:
        _open_streams -= 1


def find_device(wanted: CaptureDeviceSpec, devices: Sequence[Device]) -> Device:
    """Return the device that `wanted` specifies.

    Args:
        wanted: The specification. A name is one as listed, with or without `, HOST API` after it, or a part of one.
            Case does not matter.
        devices: The devices to choose from.

    Raises:
        NoSuchDevice: No device matches, or several do; the text lists their names.
    """
    if not devices:
        # Engines of containers set the variable; where one does not, its image should (systemd.io/CONTAINER_INTERFACE).
        raise NoSuchDevice(_NONE_IN_CONTAINER if "container" in os.environ else _NONE)
    if isinstance(wanted, DeviceIndex):
        return _by_index(wanted.index, devices)
    if isinstance(wanted, DefaultDevice):
        # PortAudio may name no default device.
        return next((device for device in devices if device.default), devices[0])
    return _by_name(wanted.name, devices)


def _by_name(wanted: str, devices: Sequence[Device]) -> Device:
    key = wanted.casefold().strip()
    exact = [device for device in devices if key in _names(device)]
    if exact:
        return exact[0]
    partial = [device for device in devices if key in _full_name(device).casefold()]
    if not partial or not key:
        raise NoSuchDevice(f'There is no capture device "{wanted}"; {_suggest(wanted, devices)}.')
    if len(partial) > 1:
        raise NoSuchDevice(f'"{wanted}" fits several capture devices, give more of the name: {_listing(partial)}.')
    return partial[0]


def _by_index(index: int, devices: Sequence[Device]) -> Device:
    for device in devices:
        if device.index == index:
            return device
    raise NoSuchDevice(f"There is no capture device with index {index}; {_available(devices)}.")


def _full_name(device: Device) -> str:
    return f"{device.name}, {device.host_api}"


def _names(device: Device) -> tuple[str, ...]:
    """Return the forms of a full name: with and without ALSA's card number or the host API."""
    bare, _, _ = device.name.partition(" (hw:")
    return device.name.casefold(), bare.casefold(), _full_name(device).casefold()


def _listing(devices: Sequence[Device]) -> str:
    return ", ".join(f'{device.index} "{device.name}"' for device in devices)


def _available(devices: Sequence[Device]) -> str:
    return f"available: {_listing(devices)}"


def _suggest(wanted: str, devices: Sequence[Device]) -> str:
    by_name = {name: device for device in devices for name in (device.name.casefold(), *_words(device))}
    import difflib

    near = difflib.get_close_matches(wanted.casefold(), by_name, n=1, cutoff=0.6)
    hint = f'did you mean "{by_name[near[0]].name}"? ' if near else ""
    return hint + _available(devices)


def _words(device: Device) -> list[str]:
    return device.name.casefold().replace(":", " ").split()


def _rescan(sd: Any) -> None:
    """Restart PortAudio, which finds devices only at its start. Skipped while streams are open: it closes them."""
    if _open_streams:
        return
    check_alsa_config()
    try:
        with console.uninterrupted():
            # After a failed start there is nothing to end, and ending it would be an error.
            if sd._initialized:
                sd._terminate()
            sd._initialize()
    except sd.PortAudioError as error:
        raise DeviceError(f"The PortAudio library does not start: {error}.") from error


def _query_devices(sd: Any) -> list[Device]:
    hosts = [host["name"] for host in sd.query_hostapis()]
    default = sd.default.device[0]
    return [
        Device(
            index=info["index"],
            name=info["name"],
            channels=info["max_input_channels"],
            rate=info["default_samplerate"],
            host_api=hosts[info["hostapi"]],
            default=info["index"] == default,
        )
        for info in sd.query_devices()
        if info["max_input_channels"] > 0
    ]
