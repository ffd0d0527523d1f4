"""A capture device, read through PortAudio."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ser_daemon.config.audio import AudioConfig
from ser_daemon.config.device_spec import CaptureDeviceSpec, DefaultDevice, DeviceIndex, DeviceName
from ser_daemon.sources import portaudio
from ser_daemon.sources.alsa_holders import held_devices
from ser_daemon.sources.base import Chunk, DeviceBusy, DeviceError, DeviceLost, NoSuchDevice, boot_time
from ser_daemon.sources.portaudio import Device
from ser_model.audio.files import Resampler
from ser_model.errors import SerError
from ser_model.types import SAMPLE_RATE

_MOST_CHANNELS = 8
"""Sound servers offer any number of channels and mix for the one that is asked for; hardware has a few."""

# Error codes of portaudio.h.
_DEVICE_UNAVAILABLE = -9985
_EBUSY = -16


class Microphone:
    """Blocking reads from a device, at 16 kHz where it agrees, else at its own rate and resampled.

    Reads and not callbacks: a callback needs memory that is writable and executable, which a hardened
    service may not have, and a read reports an overflow in line with the samples.
    """

    live = True

    def __init__(self, device: CaptureDeviceSpec, config: AudioConfig) -> None:
        self.name = config.device
        self.reported_latency: float | None = None
        """Seconds from the microphone to a read, as the sound system says once it is open; it may be wrong."""
        self._config = config
        self._wanted = device
        self._stream: Any = None
        self._resampler: Resampler | None = None
        self._block = 0
        self._rate = 1.0

    def open(self) -> None:
        """Look for the device anew and start to capture.

        Raises:
            NoPortAudio: the PortAudio library is missing
            NoSuchDevice: no device, or more than one, answers to the name
            DeviceBusy: another program holds the device
            DeviceError: the device refuses, or has no such channel
        """
        self.close()
        with portaudio.opening() as (sd, devices):
            device = _find(self._wanted, devices)
            channels = _channels(device, self._config.channel)
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
        """Wait for the next `read_ms` of audio; never None.

        Raises:
            DeviceLost: the device is gone
            SerError: it is not open
        """
        if self._stream is None or self._resampler is None:
            raise SerError(f'The microphone "{self.name}" is not open.')
        sd = portaudio.library()
        try:
            frames, overflowed = self._stream.read(self._block)
            # What still waits in the buffer came after these frames: a late reader is not a late microphone.
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
                portaudio.closed()

    def _start(self, sd: Any, device: Device, channels: int) -> tuple[Any, float]:
        """Open and start a stream with the first rate and sample format that the device takes."""
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


def _find(wanted: CaptureDeviceSpec, devices: Sequence[Device]) -> Device:
    """The device, or what stands in its way: a device that is held is not among `devices`."""
    try:
        return portaudio.find_device(wanted, devices)
    except NoSuchDevice:
        for held in held_devices():
            default = isinstance(wanted, DefaultDevice) and not devices
            if default or str(wanted).casefold() in held.name.casefold():
                raise DeviceBusy(
                    f'The microphone "{held.name}" is in use by {held.program} (process {held.pid}); '
                    "end that program, or choose a device of the sound server."
                ) from None
        raise


def _attempts(device: Device) -> Iterator[tuple[float, str]]:
    for rate in dict.fromkeys((float(SAMPLE_RATE), device.rate)):
        for dtype in ("int16", "float32"):
            yield rate, dtype


def _channels(device: Device, channel: int | None) -> int:
    """How many channels to open: up to the chosen one, or all that the hardware has."""
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
    """The sound system's own words where PortAudio passes them on, else PortAudio's."""
    if len(error.args) > 2:
        return str(error.args[2][2])
    return str(error.args[0]).rpartition(": ")[2]
