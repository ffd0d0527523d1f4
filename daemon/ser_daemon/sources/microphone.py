"""A capture device, read through PortAudio."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ser_daemon.config.audio import AudioConfig
from ser_daemon.config.device_spec import CaptureDeviceSpec, DefaultDevice, DeviceIndex, DeviceName
from ser_daemon.sources import portaudio
from ser_daemon.sources.base import Chunk, DeviceBusy, DeviceError, DeviceLost, NoSuchDevice, boot_time
from ser_daemon.sources.busy_devices import find_busy_devices
from ser_daemon.sources.portaudio import Device
from ser_model.audio.files import Resampler
from ser_model.errors import SerError
from ser_model.types import SAMPLE_RATE

_MOST_CHANNELS = 8
"""Devices with more channels belong to sound servers, which mix down to any number."""

# Error codes of portaudio.h.
_DEVICE_UNAVAILABLE = -9985
_EBUSY = -16


class Microphone:
    """Reads a device at 16 kHz, or at its own rate with resampling.

    Blocking reads are used instead of a callback. A callback needs memory that is writable and executable, which the
    service's sandbox forbids. A read also reports an overflow together with its samples.
    """

    live = True

    def __init__(self, device: CaptureDeviceSpec, config: AudioConfig) -> None:
        self.name = config.device
        self.reported_latency: float | None = None
        """Input latency in seconds as reported by the sound system, which may be wrong; `None` before `open`."""
        self._config = config
        self._wanted = device
        self._stream: Any = None
        self._resampler: Resampler | None = None
        self._block = 0
        self._rate = 1.0

    def open(self) -> None:
        """Find the device and start capturing.

        Raises:
            NoPortAudio: The PortAudio library is missing.
            NoSuchDevice: No device matches, or several do.
            DeviceBusy: Another program uses the device.
            DeviceError: The device cannot be opened, or has no such channel.
        """
        self.close()
        with portaudio.stream_opening() as (sd, devices):
            device = _find_device(self._wanted, devices)
            channels = _channels_to_open(device, self._config.channel)
            stream, rate = self._start(sd, device, channels)
            self._stream = stream
            self.reported_latency = float(stream.latency)
        self.name = device.name
        if isinstance(self._wanted, DeviceIndex):
            # Indexes change when devices come and go, so a device is opened again by its name.
            self._wanted = DeviceName(device.name)
        self._rate = rate
        self._block = max(1, round(rate * self._config.read_ms / 1000))
        self._resampler = Resampler(rate, channels, self._config.channel)

    def read(self) -> Chunk | None:
        """Wait for the next `read_ms` of audio. Never returns `None`.

        Raises:
            DeviceLost: The device has failed.
            SerError: The device is not open.
        """
        if self._stream is None or self._resampler is None:
            raise SerError(f'The microphone "{self.name}" is not open.')
        sd = portaudio.load_library()
        try:
            frames, overflowed = self._stream.read(self._block)
            # Frames left in the buffer arrived after this block, so a late read does not move its arrival.
            waiting = self._stream.read_available / self._rate
        except sd.PortAudioError as error:
            raise DeviceLost(f'The microphone "{self.name}" is gone: {_reason(error)}.') from error
        arrival = boot_time() - waiting
        return Chunk(self._resampler.push(frames), arrival, bool(overflowed))

    def close(self) -> None:
        """Release the device; may be called more than once."""
        stream, self._stream = self._stream, None
        if stream is not None:
            try:
                stream.close(ignore_errors=True)
            finally:
                portaudio.stream_closed()

    def _start(self, sd: Any, device: Device, channels: int) -> tuple[Any, float]:
        """Open and start a stream with the first rate and sample format that the device accepts."""
        for rate, dtype in _attempts(device):
            stream = None
            try:
                stream = sd.InputStream(
                    device=device.index,
                    channels=channels,
                    samplerate=rate,
                    dtype=dtype,
                    latency=self._config.latency_ms / 1000,
                )
                stream.start()
            except sd.PortAudioError as error:
                if stream is not None:
                    stream.close(ignore_errors=True)
                if _is_busy(error):
                    raise DeviceBusy(
                        f'The microphone "{device.name}" is in use by another program; end that program, '
                        "or choose a device of the sound server."
                    ) from error
                refusal = error
            else:
                return stream, rate
        raise DeviceError(f'The microphone "{device.name}" cannot be opened: {_reason(refusal)}.') from refusal


def _find_device(wanted: CaptureDeviceSpec, devices: Sequence[Device]) -> Device:
    """Find the device. One that is in use is missing in `devices`, and is reported as busy."""
    try:
        return portaudio.find_device(wanted, devices)
    except NoSuchDevice:
        for busy in find_busy_devices():
            default = isinstance(wanted, DefaultDevice) and not devices
            # An index says nothing about a device that is not listed; `3` is no part of the name `hw:3,0`.
            named = isinstance(wanted, DeviceName) and wanted.name.casefold() in busy.name.casefold()
            if default or named:
                raise DeviceBusy(
                    f'The microphone "{busy.name}" is in use by {busy.program} (process {busy.pid}); '
                    "end that program, or choose a device of the sound server."
                ) from None
        raise


def _attempts(device: Device) -> Iterator[tuple[float, str]]:
    """Yield sample rates and formats in order of preference."""
    for rate in dict.fromkeys((float(SAMPLE_RATE), device.rate)):
        for dtype in ("int16", "float32"):
            yield rate, dtype


def _channels_to_open(device: Device, channel: int | None) -> int:
    """Return the number of channels: up to the chosen one, or all of the hardware."""
    if channel is None:
        return device.channels if device.channels <= _MOST_CHANNELS else 1
    if channel > device.channels:
        raise DeviceError(f'The microphone "{device.name}" has no channel {channel}; expected 1 to {device.channels}.')
    return channel


def _is_busy(error: Exception) -> bool:
    code = error.args[1] if len(error.args) > 1 else None
    host_code = error.args[2][1] if len(error.args) > 2 else None
    return code == _DEVICE_UNAVAILABLE or host_code == _EBUSY


def _reason(error: Exception) -> str:
    """Return the error text of the sound system, or of PortAudio if there is none."""
    if len(error.args) > 2:
        return str(error.args[2][2])
    return str(error.args[0]).rpartition(": ")[2]
