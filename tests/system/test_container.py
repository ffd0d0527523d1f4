"""The images built and run by Podman. `SER_CONTAINER` names the base: a tar archive of a root, or an image."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shlex
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile

from ser_daemon.client import Client, Emotion, Event, NotRunning
from support import mosquitto
from support.box import wait_until
from support.podman import LIMITS, Container, Podman, unavailable_reason
from support.pulse import virtual_microphone
from support.speech import SYNTHETIC_SPEECH

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
USER = 1000
"""The user of the image."""


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """Podman with both images, built by `make container`."""
    base = os.environ.get("SER_CONTAINER")
    if not base:
        pytest.skip("SER_CONTAINER names no base to build a container on, which takes minutes")
    if reason := unavailable_reason():
        pytest.skip(reason)
    made = Podman(tmp_path_factory.mktemp("podman"))
    try:
        if Path(base).is_file():
            made.run("import", base, "base", timeout=300)
            base = "localhost/base"
        options = f"--build-arg BASE={base} {os.environ.get('SER_CONTAINER_ARGS', '')}"
        words = ["make", "container", f"ENGINE={shlex.join(made.command)}", f"ARGS={options}"]
        subprocess.run(words, cwd=ROOT, check=True, timeout=1200, env=made.environ)
        yield made
    finally:
        made.close()


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A folder for the sockets that belongs to the user of the image."""
    os.chown(tmp_path, USER, USER)
    tmp_path.chmod(0o700)
    return tmp_path


@pytest.fixture
def wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("wav") / "speech.wav"
    samples, rate = soundfile.read(SYNTHETIC_SPEECH)
    soundfile.write(path, samples, rate, subtype="PCM_16")
    return path


def sockets(volume: Path, *words: str) -> list[str]:
    return ["--network", "none", "--volume", f"{volume}:/run/ser-daemon", *words, "ser-daemon"]


def events(volume: Path) -> queue.Queue[Event]:
    """Events of a daemon as they come, from outside of the container; the first, `hello`, has come."""
    client, received = Client(volume / "ser.sock"), queue.Queue[Event]()
    wait_until((volume / "ser.sock").exists, 20, "the socket")

    def read() -> None:
        with contextlib.suppress(NotRunning):
            for event in client.subscribe(partial=False):
                received.put(event)

    threading.Thread(target=read, daemon=True).start()
    received.get(timeout=20)
    return received


def final(received: queue.Queue[Event]) -> Emotion:
    while True:
        event = received.get(timeout=30)
        if isinstance(event, Emotion):
            return event


def wait_for(container: Container, text: str) -> None:
    wait_until(lambda: text in container.log(), 20, text)


def test_a_recording_on_stdin_gives_results_outside(podman: Podman, volume: Path, wav: Path) -> None:
    command = [*podman.command, "run", "--rm", "--interactive", *LIMITS, *sockets(volume), "--mic", "stdin"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=podman.environ) as process:
        assert process.stdin is not None
        received = events(volume)
        process.stdin.write(wav.read_bytes())
        process.stdin.close()
        result = final(received)
        assert process.wait(30) == 0
    assert (result.final, result.utterance_id) == (True, "u-1")
    assert not (volume / "ser.sock").exists()


def test_it_runs_with_few_rights_and_stops_at_once(podman: Podman, volume: Path) -> None:
    with podman.container(*sockets(volume)) as container:
        wait_for(container, "There is no capture device in this container; pass the sound server's socket")
        assert container.is_healthy()
        status = container.exec("cat", "/proc/1/status").stdout
        assert f"\nUid:\t{USER}\t" in status
        assert "\nCapBnd:\t0000000000000000\n" in status
        for path in ("/new", "/etc/ser-daemon", "/opt/ser-daemon/new"):
            assert "Read-only file system" in container.exec("mkdir", path, check=False).stderr
        container.exec("/opt/ser-daemon/bin/python", "-c", "import onnxruntime")
        for module in ("torch", "scipy", "setuptools", "pip", "aiomqtt"):
            done = container.exec("/opt/ser-daemon/bin/python", "-c", f"import {module}", check=False)
            assert "ModuleNotFoundError" in done.stderr
        start = time.monotonic()
        assert container.stop() == 0
        assert time.monotonic() - start < 3
        assert not container.is_healthy()


def test_a_stop_during_the_start_is_not_lost(podman: Podman, volume: Path) -> None:
    with podman.container(*sockets(volume)) as container:
        start = time.monotonic()
        container.stop()
        assert time.monotonic() - start < 3


@pytest.mark.parametrize("user", [USER, 1234])
def test_mute_survives_a_new_container_of_any_user(podman: Podman, user: int) -> None:
    volumes = ("--volume", f"sockets-{user}:/run/ser-daemon", "--volume", f"state-{user}:/var/lib/ser-daemon")
    words = (*volumes, "--user", f"{user}:{user}", "--network", "none", "ser-daemon")
    with podman.container(*words) as container:
        wait_for(container, "Serving")
        assert "could not" not in container.log()
        assert "Muted" in container.exec("ser-ctl", "mute").stdout
    with podman.container(*words) as container:
        wait_for(container, "Serving")
        assert json.loads(container.exec("ser-ctl", "status", "--json").stdout)["state"] == "muted"


def refusal(podman: Podman, *words: object) -> str:
    done = podman.run("run", "--rm", *LIMITS, *words, check=False)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return next(line for line in done.stderr.splitlines() if line.startswith("ser-daemon: "))


def test_what_cannot_work_is_said_in_a_sentence(podman: Podman, volume: Path) -> None:
    config = volume.parent / "foreign.yaml"
    config.write_text("foreign: 1\n")
    mounted = ("--volume", f"{config}:/etc/ser-daemon/config.yaml:ro")
    expected = "ser-daemon: /etc/ser-daemon/config.yaml:1: foreign: unknown section"
    assert refusal(podman, *sockets(volume, *mounted)).startswith(expected)
    os.chown(volume, 0, 0)
    text = refusal(podman, *sockets(volume))
    assert f"User {USER} cannot create" in text
    assert "/run/ser-daemon" in text
    assert "Permission denied; choose another place with --socket" in text


def test_it_listens_to_a_sound_server_that_was_passed_in(podman: Podman, tmp_path: Path) -> None:
    with virtual_microphone() as pulse:
        words = ["--user", "0:0", "--volume", f"{pulse.folder}/run/pulse:/run/pulse"]
        with podman.container(*sockets(tmp_path, *words, "--tmpfs", "/var/lib/ser-daemon")) as container:
            received = events(tmp_path)
            wait_for(container, "Audio state: listening (default)")
            pulse.wait_for_capture()
            with pulse.play(SYNTHETIC_SPEECH) as player:
                assert final(received).final
                player.kill()
            # The server is gone, and comes back with another socket.
            pulse.stop()
            wait_for(container, "Audio state: no-device (default)")
            pulse.start()
            pulse.load_sink("mic")
            wait_until(lambda: container.log().count("Audio state: listening (default)") == 2, 30, "the second server")


def test_the_bridge_publishes_what_the_daemon_says(podman: Podman, volume: Path, wav: Path) -> None:
    if reason := mosquitto.missing():
        pytest.skip(reason)
    folder = wav.parent
    bridge = ["--network", "host", "--volume", f"{volume}:/run/ser-daemon:ro", "ser-bridges", "ser-mqtt"]
    recording = ("--volume", f"{folder}:/recording:ro")
    folder.chmod(0o755)
    with (
        mosquitto.Broker(folder) as broker,
        broker.listen("ser-daemon/#") as listener,
        podman.container(*bridge, "--port", broker.port, "--room", "Kitchen", "--id", "ser-test") as other,
    ):
        wait_for(other, "Connected to the broker")
        with podman.container(*sockets(volume, *recording), "--mic", "file:/recording/speech.wav"):
            assert listener.value("kitchen/ser-test/utterance").data["utterance_id"] == "u-1"
        assert other.stop() == 0
