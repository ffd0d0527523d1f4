"""A daemon that listens to the microphone of a Wyoming service, and services that misbehave."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ser_daemon.config.audio import AudioConfig
from ser_daemon.sources import DeviceError, DeviceLost, NoSuchDevice, make_source
from ser_model.errors import SerError
from support.daemon import Daemon, run_daemon, wait_for
from support.ports import free_port
from support.speech import sentence
from support.wyoming_microphone import MicrophoneService, sending

START = b'{"type":"audio-start","data":{"rate":16000,"width":2,"channels":1}}\n'
SPEECH = np.concatenate([np.zeros(8_000, np.int16), sentence(), np.zeros(24_000, np.int16)])


def chunk(samples: int, rate: int = 16_000) -> bytes:
    head = b'{"type":"audio-chunk","data":{"rate":%d,"width":2,"channels":1},"payload_length":%d}\n'
    return head % (rate, 2 * samples) + bytes(2 * samples)


def read_until_error(uri: str) -> SerError:
    """Open a service, and read until that fails."""
    source = make_source(AudioConfig(device=f"wyoming:{uri}"))
    try:
        source.open()
        while source.read() is not None:
            pass
    except SerError as error:
        return error
    finally:
        source.close()
    raise AssertionError("the source never ends")


def test_samples_of_a_service_arrive_unchanged(tmp_path: Path) -> None:
    uri = f"unix://{tmp_path}/mic.sock"
    with MicrophoneService(uri, SPEECH) as service:
        source = make_source(AudioConfig(device=f"wyoming:{uri}"))
        assert source.live
        source.open()
        pieces: list[np.ndarray] = []
        while sum(map(len, pieces)) < len(SPEECH):
            read = source.read()
            assert read is not None
            pieces.append(read.samples)
        source.close()
        source.close()
        wait_for(lambda: service.open == 0)
    assert np.array_equal(np.concatenate(pieces)[: len(SPEECH)], SPEECH)


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"", "its service has ended the connection"),
        (START + b'{"type":"audio-ch', "its service has ended the connection"),
        (b"HTTP/1.1 200 OK\r\n", "sends what is no audio: A line is not JSON"),
        (b"x" * 40_000, "sends what is no audio: A header is longer than"),
        (b'{"type":"audio-start"}\n', "sends what is no audio: audio-start: rate is None"),
        (START + chunk(160, 48_000), "sends what is no audio: the format of an audio-chunk differs"),
        (chunk(16_000 * 60), "sends audio faster than it can be spoken"),
    ],
)
def test_a_service_that_misbehaves_counts_as_a_lost_device(sent: bytes, reason: str) -> None:
    with sending(sent) as uri:
        error = read_until_error(uri)
    assert isinstance(error, DeviceLost)
    assert reason in str(error)


def test_other_events_are_skipped() -> None:
    other = b'{"type":"info","data":{"asr":[]},"payload_length":3}\nabc{"type":"audio-stop"}\n'
    with sending(other + START + chunk(2_560) + other, close=False) as uri:
        source = make_source(AudioConfig(device=f"wyoming:{uri}"))
        source.open()
        count = 0
        while count < 2_560:
            read = source.read()
            assert read is not None
            count += len(read.samples)
        begun = time.monotonic()
        read = source.read()
        assert read is not None
        assert len(read.samples) == 0, "a service that is quiet does not block the read"
        assert time.monotonic() - begun < 2
        source.close()


@pytest.mark.parametrize(
    ("uri", "kind", "sentence"),
    [
        (lambda folder: f"tcp://127.0.0.1:{free_port()}", NoSuchDevice, "No Wyoming service answers at wyoming:tcp"),
        (lambda folder: "tcp://no-such-host.invalid:1", NoSuchDevice, "No Wyoming service answers at wyoming:tcp"),
        (lambda folder: f"unix://{folder}/none.sock", NoSuchDevice, "No Wyoming service answers at wyoming:unix"),
        (lambda folder: f"unix://{folder}", DeviceError, "cannot be connected to|No Wyoming service answers"),
    ],
)
def test_a_service_that_is_not_there_is_a_missing_device(
    uri: Callable[[Path], str], kind: type[SerError], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=sentence):
        make_source(AudioConfig(device=f"wyoming:{uri(tmp_path)}")).open()


def test_what_is_no_address_is_refused_at_the_start() -> None:
    code, _, stderr = run_daemon("--mic", "wyoming:hall:10600")
    assert code == 2
    assert stderr.count("\n") == 1
    assert '"hall:10600" is no address of a Wyoming service; expected tcp://HOST:PORT or unix:///PATH.' in stderr


def test_a_daemon_listens_to_a_service_mutes_it_and_waits_for_it(tmp_path: Path) -> None:
    uri = f"tcp://127.0.0.1:{free_port()}"
    with Daemon("--service", "--mic", f"wyoming:{uri}") as daemon:
        client = daemon.subscribe()
        lost = client.until("state:no-device") if client.hello["data"]["state"] != "no-device" else None
        assert lost is None or "No Wyoming service answers" in lost["data"]["reason"]
        with MicrophoneService(uri, SPEECH) as service:
            client.until("state:listening")
            final = client.until(lambda event: event["type"] == "emotion" and event["data"]["final"])
            assert final["data"]["voiced_ms"] > 500
            client.until("voice-stopped")
            daemon.controller().request("mute")
            wait_for(lambda: service.open == 0)
            daemon.controller().request("unmute")
            client.until("state:listening")
        client.until("state:no-device")
        with MicrophoneService(uri, SPEECH):
            client.until("state:listening")
            client.until("voice-started")


def test_the_daemon_does_not_need_the_wyoming_package() -> None:
    code = (
        "import sys; sys.modules['wyoming'] = None\n"
        "from ser_daemon.sources import make_source\n"
        "from ser_daemon.config.audio import AudioConfig\n"
        "print(make_source(AudioConfig(device='wyoming:unix:///x')).name)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "wyoming:unix:///x\n"
