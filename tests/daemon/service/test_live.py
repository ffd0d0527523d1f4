"""A real daemon on a virtual microphone: sound server, PortAudio and all."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from support.daemon import Daemon, Subscriber, run_daemon
from support.pulse import PulseAudio, virtual_microphone
from support.speech import SYNTHETIC_SPEECH

RATE = 16_000


@pytest.fixture(scope="module")
def pulse() -> Iterator[PulseAudio]:
    with virtual_microphone() as server:
        yield server


@pytest.fixture(scope="module")
def utterance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first utterance of the synthetic recording, with a second of room tone around it."""
    samples, _ = soundfile.read(SYNTHETIC_SPEECH, dtype="int16")
    path: Path = tmp_path_factory.mktemp("speech") / "utterance.wav"
    soundfile.write(path, samples[int(0.6 * RATE) : int(4.4 * RATE)], RATE)
    return path


def listening(daemon: Daemon) -> Subscriber:
    """Subscribe, and wait until the microphone is heard."""
    client = daemon.subscribe()
    if client.hello["data"]["state"] != "listening":
        client.until("state:listening")
    return client


def test_what_is_spoken_into_the_microphone_arrives_at_a_subscriber(pulse: PulseAudio, utterance: Path) -> None:
    with Daemon(environment=pulse.environment) as daemon:
        client = listening(daemon)
        player = pulse.play(utterance)
        started = client.until("voice-started")["data"]
        partial = client.until("emotion")["data"]
        assert not partial["final"]
        assert partial["latency_ms"] < 300
        client.until(lambda event: event["data"].get("final") is True)
        stopped = client.next()["data"]
        assert 1000 < stopped["timestamp"] - started["timestamp"] < 3000
        player.wait(20)
        daemon.signal(signal.SIGTERM)
        assert client.until("state:stopping")
        assert daemon.wait() == 0
    pulse.wait_for_capture(0)


def test_mute_gives_the_microphone_back_and_unmute_takes_it_again(pulse: PulseAudio, utterance: Path) -> None:
    with Daemon(environment=pulse.environment) as daemon:
        client, control = listening(daemon), daemon.controller()
        pulse.wait_for_capture(1)
        assert control.request("mute")["type"] == "done"
        assert pulse.capture_streams() == 0
        before = control.request("status")["data"]["timestamp"]
        pulse.play(utterance).wait(20)
        assert control.request("unmute")["type"] == "done"
        client.until("state:muted")
        client.until("state:listening")
        pulse.wait_for_capture(1)
        # The clock ran on while the microphone was closed; nothing of what was said then was heard.
        assert control.request("status")["data"]["timestamp"] - before > 3000
        assert control.request("metrics")["data"]["utterances"] == 0
        player = pulse.play(utterance)
        client.until("voice-stopped")
        player.wait(20)


def test_a_sound_server_that_goes_away_and_comes_back_is_survived(pulse: PulseAudio, utterance: Path) -> None:
    with Daemon("--service", environment=pulse.environment) as daemon:
        client = listening(daemon)
        pulse.stop()
        lost = client.until("state:no-device")["data"]
        assert lost["retry_in_ms"] == 500
        assert lost["reason"]
        pulse.start()
        pulse.load_sink("mic")
        pulse.set_default("mic")
        client.until("state:listening")
        player = pulse.play(utterance)
        client.until("voice-stopped")
        player.wait(20)
        assert daemon.controller().request("metrics")["data"]["reopened"] == 1


def test_an_unknown_microphone_is_named_with_those_there_are(pulse: PulseAudio) -> None:
    code, _, error = run_daemon("--mic", "defualt", environment=pulse.environment)
    assert code == 2
    assert len(error.splitlines()) == 1
    assert "defualt" in error
    assert "default" in error.replace("defualt", "")


def test_devices_are_listed_with_the_default_marked(pulse: PulseAudio) -> None:
    code, output, _ = run_daemon("--list-devices", environment=pulse.environment)
    assert code == 0
    assert any(line.startswith("*") for line in output.splitlines())


def test_the_positions_of_live_speech_are_true_to_the_time_that_passes(pulse: PulseAudio, utterance: Path) -> None:
    with Daemon(environment=pulse.environment) as daemon:
        client, control = listening(daemon), daemon.controller()
        starts = []
        players = []
        for _ in range(2):
            players.append(pulse.play(utterance))
            starts.append(client.until("voice-started")["data"])
            client.until("voice-stopped")
        metrics = control.request("metrics")["data"]
        assert metrics["samples_missing"] == 0
        assert metrics["overflows"] == 0
        wall = [np.datetime64(start["time"].removesuffix("Z")) for start in starts]
        elapsed = (wall[1] - wall[0]) / np.timedelta64(1, "ms")
        assert starts[1]["timestamp"] - starts[0]["timestamp"] == pytest.approx(elapsed, abs=20)
        for player in players:
            player.wait(20)
