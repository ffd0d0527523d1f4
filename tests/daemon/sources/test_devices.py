"""How a device is found and opened, and the errors if it cannot be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ser_daemon.config.audio import AudioConfig
from ser_daemon.config.device_spec import AudioFile, CaptureDeviceSpec, DefaultDevice, StandardInput, parse_device
from ser_daemon.sources import (
    Device,
    DeviceBusy,
    DeviceError,
    DeviceLost,
    NoSuchDevice,
    make_source,
    portaudio,
)
from ser_daemon.sources import microphone as microphone_module
from ser_daemon.sources.base import boot_time
from ser_daemon.sources.busy_devices import BusyDevice, find_busy_devices
from ser_daemon.sources.portaudio import find_device


def device(index: int, name: str, default: bool = False) -> Device:
    return Device(index, name, 2, 48_000.0, "ALSA", default)


def capture_device(text: str) -> CaptureDeviceSpec:
    spec = parse_device(text)
    assert not isinstance(spec, AudioFile | StandardInput)
    return spec


DEVICES = [
    device(0, "HDA Intel PCH: ALC257 Analog (hw:0,0)"),
    device(3, "USB Mic: Audio (hw:1,0)"),
    device(4, "USB Mic Pro: Audio (hw:2,0)"),
    device(6, "pulse"),
    device(7, "default", default=True),
]


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ("default", 7),
        ("pulse", 6),
        ("PULSE", 6),
        ("pulse, ALSA", 6),
        ("3", 3),
        ("usb mic pro", 4),
        ("USB Mic: Audio", 3),
        ("usb mic: audio (hw:1,0)", 3),
        ("intel", 0),
        ("hw:2", 4),
    ],
)
def test_a_device_is_found_by_index_name_or_part_of_it(wanted: str, index: int) -> None:
    assert find_device(capture_device(wanted), DEVICES).index == index


def test_default_is_the_first_device_if_portaudio_has_no_default() -> None:
    assert find_device(DefaultDevice(), DEVICES[:2]).index == 0


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (
            "usb mic",
            '"usb mic" fits several capture devices, give more of the name: 3 "USB Mic: Audio (hw:1,0)", 4',
        ),
        ("2", 'There is no capture device with index 2; available: 0 "HDA Intel'),
        ("pusle", 'There is no capture device "pusle"; did you mean "pulse"? available: 0 "HDA'),
        ("inetl", 'did you mean "HDA Intel PCH: ALC257 Analog (hw:0,0)"?'),
        ("blue yeti", 'There is no capture device "blue yeti"; available: 0 "HDA'),
        ("", 'There is no capture device ""; available: 0 "HDA'),
    ],
)
def test_the_error_for_no_match_or_several_lists_devices(wanted: str, text: str) -> None:
    with pytest.raises(NoSuchDevice) as caught:
        find_device(capture_device(wanted), DEVICES)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("container", "text"),
    [
        (None, "There is no capture device; plug in a microphone"),
        ("podman", "device in this container; pass the sound"),
    ],
)
def test_the_error_without_any_device_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, container: str | None, text: str
) -> None:
    if container is None:
        monkeypatch.delenv("container", raising=False)
    else:
        monkeypatch.setenv("container", container)
    with pytest.raises(NoSuchDevice, match=text):
        find_device(DefaultDevice(), [])


class PortAudioError(Exception):
    """Like that of sounddevice: its arguments are text, code, and (api, code, text) of the host."""


class FakeStream:
    """Returns constant frames; `fails` makes the next read fail."""

    read_available = 0
    latency = 0.043

    def __init__(self, portaudio: FakePortAudio, channels: int, dtype: str) -> None:
        self.portaudio, self.channels, self.dtype = portaudio, channels, dtype
        self.fails = self.overflowed = False

    def start(self) -> None:
        self.portaudio.running += 1

    def read(self, frames: int) -> tuple[np.ndarray, bool]:
        if self.fails:
            raise PortAudioError("Unanticipated host error", -9999, (8, -19, "No such device"))
        return np.full((frames, self.channels), 0.5 if self.dtype == "float32" else 1_000, self.dtype), self.overflowed

    def close(self, ignore_errors: bool) -> None:
        self.portaudio.running -= 1


class FakePortAudio:
    """Replaces the module `sounddevice`; `accepts` holds the rates and formats that can be opened."""

    PortAudioError = PortAudioError

    def __init__(self) -> None:
        self.names = ["USB Mic: Audio (hw:1,0)"]
        self.channels = 2
        self.accepts = {(16_000.0, "int16")}
        self.refusal = PortAudioError("Error opening InputStream: Invalid sample rate", -9997)
        self.running = self.scans = 0
        self._initialized = 1
        self.tried: list[tuple[float, str]] = []
        self.stream: FakeStream | None = None
        self.default = self
        self.device = (0, 0)

    def _terminate(self) -> None:
        assert self.running == 0, "terminating PortAudio closes open streams"

    def _initialize(self) -> None:
        self.scans += 1

    def query_hostapis(self) -> list[dict[str, str]]:
        return [{"name": "ALSA"}]

    def query_devices(self) -> list[dict[str, object]]:
        rest = {"max_input_channels": self.channels, "default_samplerate": 48_000.0, "hostapi": 0}
        return [{"index": index, "name": name} | rest for index, name in enumerate(self.names)]

    def InputStream(  # noqa: N802
        self, *, device: int, channels: int, samplerate: float, dtype: str, latency: float
    ) -> FakeStream:
        assert latency == 0.2
        self.tried.append((samplerate, dtype))
        if (samplerate, dtype) not in self.accepts:
            raise self.refusal
        self.stream = FakeStream(self, channels, dtype)
        return self.stream


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakePortAudio:
    fake = FakePortAudio()
    monkeypatch.setattr(portaudio, "load_library", lambda: fake)
    return fake


def microphone(**config: object):
    return make_source(AudioConfig(**config))


def test_16_khz_int16_is_tried_first(fake: FakePortAudio) -> None:
    source = microphone()
    assert source.reported_latency is None
    source.open()
    assert source.reported_latency == 0.043
    chunk = source.read()
    assert chunk is not None
    assert chunk.samples.tolist() == [1_000] * (160 * 16)
    assert (source.name, source.live, chunk.overflowed) == ("USB Mic: Audio (hw:1,0)", True, False)
    source.close()


def test_hardware_without_16_khz_is_read_at_its_own_rate_and_resampled(fake: FakePortAudio) -> None:
    fake.accepts = {(48_000.0, "float32")}
    source = microphone(read_ms=100)
    source.open()
    assert fake.tried == [
        (16_000.0, "int16"),
        (16_000.0, "float32"),
        (48_000.0, "int16"),
        (48_000.0, "float32"),
    ]
    samples = np.concatenate([chunk.samples for chunk in (source.read() for _ in range(10)) if chunk])
    assert 15_000 < len(samples) <= 16_000
    assert np.abs(samples[1_000:].astype(int) - 16_384).max() <= 1
    source.close()


@pytest.mark.parametrize(
    ("offered", "channel", "opened"),
    [(1, None, 1), (2, None, 2), (8, None, 8), (32, None, 1), (2, 2, 2), (32, 3, 3)],
)
def test_all_channels_of_hardware_are_opened_but_not_those_of_a_sound_server(
    fake: FakePortAudio, offered: int, channel: int | None, opened: int
) -> None:
    fake.channels = offered
    source = microphone(channel=channel)
    source.open()
    assert fake.stream is not None
    assert fake.stream.channels == opened
    source.close()


def test_a_channel_that_the_device_lacks_is_an_error(fake: FakePortAudio) -> None:
    with pytest.raises(DeviceError, match=r"has no channel 3; expected 1 to 2\.$"):
        microphone(channel=3).open()


def test_an_overflow_is_passed_on(fake: FakePortAudio) -> None:
    source = microphone()
    source.open()
    assert fake.stream is not None
    fake.stream.overflowed = True
    chunk = source.read()
    assert chunk is not None
    assert chunk.overflowed
    source.close()


def test_a_device_that_fails_while_it_is_read_is_lost_and_can_be_opened_again(fake: FakePortAudio) -> None:
    source = microphone()
    source.open()
    assert fake.stream is not None
    fake.stream.fails = True
    with pytest.raises(DeviceLost, match=r'^The microphone "USB Mic: Audio \(hw:1,0\)" is gone: No such device\.$'):
        source.read()
    source.open()
    assert source.read() is not None
    source.close()
    source.close()
    assert fake.running == 0


def test_portaudio_is_restarted_only_while_no_stream_is_open(fake: FakePortAudio) -> None:
    source = microphone()
    source.open()
    scans = fake.scans
    assert [found.name for found in portaudio.list_devices()] == fake.names
    assert fake.scans == scans
    source.close()
    fake.names.append("new")
    assert [found.name for found in portaudio.list_devices()] == fake.names
    assert fake.scans == scans + 1


def test_a_device_chosen_by_index_is_opened_again_by_its_name(fake: FakePortAudio) -> None:
    source = microphone(device="0")
    source.open()
    source.close()
    fake.names.insert(0, "another")
    source.open()
    assert source.name == "USB Mic: Audio (hw:1,0)"
    source.close()


@pytest.mark.parametrize(
    "refusal",
    [
        PortAudioError("Error opening InputStream: Device unavailable", -9985),
        PortAudioError("Unanticipated host error", -9999, (8, -16, "Device or resource busy")),
    ],
)
def test_a_device_in_use_is_busy(fake: FakePortAudio, refusal: PortAudioError) -> None:
    fake.accepts, fake.refusal = set(), refusal
    with pytest.raises(DeviceBusy, match="is in use by another program; end that program, or choose"):
        microphone().open()
    assert len(fake.tried) == 1


def test_the_error_of_the_sound_system_is_passed_on(fake: FakePortAudio) -> None:
    fake.accepts = set()
    with pytest.raises(DeviceError, match=r'"USB Mic: Audio \(hw:1,0\)" cannot be opened: Invalid sample rate\.$'):
        microphone().open()
    assert len(fake.tried) == 4


@pytest.mark.parametrize(("wanted", "names"), [("usb mic", ["pulse"]), ("default", [])])
def test_a_device_in_use_and_so_not_listed_is_busy(
    fake: FakePortAudio, monkeypatch: pytest.MonkeyPatch, wanted: str, names: list[str]
) -> None:
    busy = BusyDevice("USB Mic: Audio (hw:1,0)", 4_321, "arecord")
    monkeypatch.setattr(microphone_module, "find_busy_devices", lambda: [busy])
    fake.names = names
    with pytest.raises(DeviceBusy, match=r"is in use by arecord \(process 4321\)"):
        microphone(device=wanted).open()


def test_an_index_that_is_not_listed_is_no_part_of_a_busy_devices_name(
    fake: FakePortAudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = BusyDevice("USB Mic 3: Audio (hw:3,0)", 4_321, "arecord")
    monkeypatch.setattr(microphone_module, "find_busy_devices", lambda: [busy])
    fake.names = ["pulse"]
    with pytest.raises(NoSuchDevice, match=r"^There is no capture device with index 3; available: "):
        microphone(device="3").open()


def test_the_program_that_uses_a_device_is_found(tmp_path: Path) -> None:
    cards = " 0 [PCH            ]: HDA-Intel - HDA Intel PCH\n                      HDA Intel PCH at 0x1 irq 1\n"
    cards += " 1 [Mic            ]: USB-Audio - USB Mic\n                      Maker USB Mic at usb-1\n"
    opened = "state: RUNNING\nowner_pid   : 4321\ntrigger_time: 1.2\n"
    for path, text in {
        "asound/cards": cards,
        "asound/card0/pcm0c/info": "card: 0\ndevice: 0\nstream: CAPTURE\nid: x\nname: ALC257 Analog\n",
        "asound/card0/pcm0c/sub0/status": "closed\n",
        "asound/card0/pcm0p/info": "card: 0\ndevice: 0\nstream: PLAYBACK\nid: x\nname: ALC257 Analog\n",
        "asound/card0/pcm0p/sub0/status": opened,
        "asound/card1/pcm0c/info": "card: 1\ndevice: 0\nstream: CAPTURE\nid: USB Audio\nname: USB Audio\n",
        "asound/card1/pcm0c/sub0/status": opened,
        "4321/comm": "arecord\n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert find_busy_devices(tmp_path) == [BusyDevice("USB Mic: USB Audio (hw:1,0)", 4_321, "arecord")]
    (tmp_path / "4321/comm").unlink()
    assert find_busy_devices(tmp_path)[0].program == "a program"


def test_a_machine_without_sound_cards_has_no_busy_devices(tmp_path: Path) -> None:
    assert find_busy_devices(tmp_path) == []


def test_a_missing_portaudio_library_names_the_package() -> None:
    script = """
import ctypes.util
ctypes.util.find_library = lambda name: None
from ser_daemon.config.audio import AudioConfig
from ser_daemon.sources import NoPortAudio, list_devices, make_source
for use in (list_devices, make_source(AudioConfig()).open):
    try:
        use()
    except NoPortAudio as error:
        print(error)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    lines = result.stdout.splitlines()
    assert len(lines) == 2
    assert all("install the package libportaudio2: sudo apt-get install libportaudio2" in line for line in lines)


def test_sources_load_no_audio_library_before_one_is_needed() -> None:
    script = "import sys, ser_daemon.sources; print({'sounddevice', 'soundfile', 'soxr'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout == "set()\n"


def test_frames_left_in_the_buffer_do_not_count_for_the_arrival(fake: FakePortAudio) -> None:
    source = microphone()
    source.open()
    assert fake.stream is not None
    fake.stream.read_available = 16_000
    chunk = source.read()
    assert chunk is not None
    assert 0.9 < boot_time() - chunk.arrival < 1.1
    source.close()
