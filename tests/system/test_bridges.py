"""`ser-ctl install-bridge`, and the units of the bridges under a real systemd, with a real broker."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

from ser_model.labels import LABELS
from support import mosquitto
from support.box import wait_until
from support.speech import SYNTHETIC_SPEECH
from system.conftest import Machine

pytestmark = pytest.mark.slow

OFFLINE = ("env", "--unset=PYTHONPATH", "PIP_NO_INDEX=1", "PIP_FIND_LINKS=/usr/src/wheels")
BRIDGES = ("mqtt", "wyoming", "web")
UNITS = tuple(f"ser-{name}.service" for name in BRIDGES)
STARTED = dict(zip(UNITS, ("Connected to the broker", "Serving", "Open http"), strict=True))
TOKEN = "0123456789abcdef"
LOGIN = ("-u", "ser", "-P", "secret")

_BROKER = """
[Service]
ExecStart=/usr/sbin/mosquitto -c /etc/broker.conf
"""

_PLAY = """
import asyncio, sys, soundfile
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient
async def main():
    audio = soundfile.read(sys.argv[1], dtype="int16")[0][: 16_000 * 8].tobytes()
    async with AsyncClient.from_uri("tcp://127.0.0.1:10700") as client:
        await client.write_event(AudioStart(16_000, 2, 1).event())
        await client.write_event(AudioChunk(16_000, 2, 1, audio=audio).event())
        await client.write_event(AudioStop().event())
        while event := await client.read_event():
            if event.type == "emotion" and event.data["final"]:
                return print(event.data["label"])
asyncio.run(asyncio.wait_for(main(), 20))
"""


class Subscriber:
    """`mosquitto_sub` in the box."""

    def __init__(self, machine: Machine) -> None:
        command = machine.box.command("stdbuf", "-oL", "mosquitto_sub", *LOGIN, "-t", "ser-daemon/#", "-v", "-d")
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.lines: list[str] = []
        self.seen = 0
        threading.Thread(target=self._read, daemon=True).start()
        wait_until(lambda: any("SUBACK" in line for line in self.lines), 10, "the broker's answer")

    def _read(self) -> None:
        assert self._process.stdout is not None
        self.lines.extend(iter(self._process.stdout.readline, ""))

    def wait_for(self, topic: str, payload: str = "", seconds: float = 20) -> str:
        """Return the payload of the next message whose topic ends so, and whose payload begins so."""
        pattern = re.compile(rf"^ser-daemon/\S*/{topic} ({payload}.*)$")

        def find() -> tuple[int, str] | None:
            lines = enumerate(self.lines[self.seen :], self.seen + 1)
            return next(((number, match[1]) for number, line in lines if (match := pattern.match(line))), None)

        wait_until(lambda: find() is not None, seconds, f"{topic} {payload} at the subscriber")
        found = find()
        assert found is not None
        self.seen = found[0]
        return found[1]

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()


@pytest.fixture(scope="module")
def home(machine: Machine) -> Iterator[Machine]:
    """The box with a broker that wants a password, the daemon, and both bridges."""
    if reason := mosquitto.missing():
        pytest.skip(reason)
    files = {
        "/etc/ser-daemon/web-token": f"{TOKEN}\n",
        "/etc/broker.conf": "listener 1883 127.0.0.1\npassword_file /etc/broker-passwords\nuser root\n",
        "/etc/systemd/system/broker.service": _BROKER,
        "/etc/ser-daemon/mqtt.yaml": "user: ser\npassword_file: mqtt-password\nroom: kitchen\n",
        "/etc/ser-daemon/mqtt-password": "secret\n",
    }
    for name, text in files.items():
        machine.box.path(name).write_text(text)
    for name in ("mqtt-password", "web-token"):
        machine.box.path(f"/etc/ser-daemon/{name}").chmod(0o600)
    machine.box.run("mosquitto_passwd", "-b", "-c", "/etc/broker-passwords", "ser", "secret")
    machine.make("install-service")
    machine.box.run("systemctl", "start", "broker")
    installed = machine.box.run(*OFFLINE, "ser-ctl", "install-bridge", *BRIDGES, timeout=240)
    assert [f"{unit}: it runs" in installed.stdout for unit in UNITS] == [True] * 3, installed.stdout
    # With a quarter of a core they take seconds.
    for unit, started in STARTED.items():
        wait_until(lambda: started in machine.box.journal(unit), 30, f"{unit} at work")  # noqa: B023
    yield machine
    machine.box.run("ser-ctl", "uninstall-bridge", *BRIDGES)
    assert not machine.box.path("/opt/ser-bridges").exists()
    assert machine.box.run("systemctl", "list-units", "--plain", "--no-legend", *UNITS).stdout == ""
    machine.box.run("systemctl", "stop", "broker", "microphone")


@pytest.fixture
def subscriber(home: Machine) -> Iterator[Subscriber]:
    subscriber = Subscriber(home)
    yield subscriber
    subscriber.close()


def test_an_utterance_arrives_at_the_broker_and_a_mute_at_the_daemon(home: Machine, subscriber: Subscriber) -> None:
    home.plug_in()
    home.pactl("set-default-source", "null.monitor")
    home.box.run("systemctl", "restart", "ser-daemon")
    home.wait_for("listening")
    player = home.play(SYNTHETIC_SPEECH)
    utterance = json.loads(subscriber.wait_for("utterance"))
    player.kill()
    player.wait()
    assert (utterance["room"], utterance["final"]) == ("kitchen", True)
    command = home.box.run("sh", "-c", "ls /var/lib/private/ser-mqtt 2>/dev/null || true").stdout
    assert command == "", "the bridge keeps nothing"
    [topic] = {line.split()[0] for line in _retained(home) if "/mute " in line}
    home.box.run("mosquitto_pub", *LOGIN, "-q", "1", "-t", topic.replace("/mute", "/command/mute"), "-m", "ON")
    home.wait_for("muted")
    home.ctl("unmute", user="controller")


def test_it_survives_a_restart_of_the_daemon_and_of_the_broker(home: Machine, subscriber: Subscriber) -> None:
    pids = [home.pid(unit) for unit in UNITS]
    subscriber.wait_for("daemon", "online")
    home.box.run("systemctl", "stop", "ser-daemon.service", "ser-daemon.socket", "ser-daemon-control.socket")
    subscriber.wait_for("daemon", "offline")
    home.box.run("systemctl", "start", "ser-daemon-control.socket", "ser-daemon.socket", "ser-daemon.service")
    subscriber.wait_for("daemon", "online")
    # mosquitto_sub connects again by itself, and may get what the broker kept in any order.
    before = len(subscriber.lines)
    home.box.run("systemctl", "restart", "broker")
    subscriber.wait_for("status", "online")
    subscriber.seen = before
    subscriber.wait_for("microphone")
    assert [home.pid(unit) for unit in UNITS] == pids, "no bridge was restarted"


def test_the_page_is_served_and_only_who_has_the_token_gets_the_state(home: Machine) -> None:
    address = "http://127.0.0.1:8737/"
    assert "How it was said" in home.box.run("curl", "-s", address).stdout
    assert "The token is missing or wrong" in home.box.run("curl", "-s", f"{address}status").stdout
    status = home.box.run("curl", "-s", "-H", f"Authorization: Bearer {TOKEN}", f"{address}status").stdout
    assert json.loads(status)["protocol"] == 1
    assert TOKEN not in home.box.run("journalctl", "--unit=ser-web").stdout


def test_a_client_of_the_wyoming_service_gets_an_emotion(home: Machine) -> None:
    # The one behind `bin` does not know its environment.
    [python] = home.box.path("/opt/ser-bridges").glob("env-*/bin/python")
    words = (f"/opt/ser-bridges/{python.parts[-3]}/bin/python", "-I", "-c", _PLAY, str(SYNTHETIC_SPEECH))
    done = home.box.run(*words)
    assert done.stdout.strip() in {*LABELS, "unknown"}


def test_what_cannot_be_installed_is_said_and_changes_nothing(home: Machine) -> None:
    before = [home.pid(unit) for unit in UNITS]
    for words, user, reason in (
        (("mqqt",), None, "There is no bridge 'mqqt' with a unit; expected some of mqtt, "),
        (("mqtt",), "member", "Bridges of this machine need root: put sudo before it; "),
        # Its library is not among the wheels.
        (("ovos",), None, "Could not install the libraries of mqtt, ovos, "),
    ):
        done = home.box.run(*OFFLINE, "ser-ctl", "install-bridge", *words, user=user, check=False, timeout=120)
        assert done.returncode == 2
        assert reason in done.stderr, done.stderr
    assert [home.pid(unit) for unit in UNITS] == before
    assert not home.box.path("/etc/systemd/system/ser-ovos.service").exists()


@pytest.mark.parametrize(
    ("unit", "exposure"), [("ser-mqtt.service", 1.3), ("ser-wyoming.service", 1.1), ("ser-web.service", 1.1)]
)
def test_the_sandbox_has_a_good_score(home: Machine, unit: str, exposure: float) -> None:
    shown = home.box.run("systemd-analyze", "security", "--no-pager", unit).stdout
    score = float(re.findall(r"Overall exposure level for \S+: ([0-9.]+)", shown)[0])
    print(f"{unit}: exposure {score} (bound {exposure})")
    assert score <= exposure


@pytest.mark.parametrize("unit", UNITS)
def test_a_bridge_that_dies_is_restarted_and_one_that_is_stopped_ends_within_a_second(home: Machine, unit: str) -> None:
    home.box.run("kill", "-KILL", str(home.pid(unit)))
    waits = {"SubState": "auto-restart"}
    wait_until(lambda: home.box.show(unit, "SubState") == waits, 5, f"{unit} waits for its restart")
    before = home.box.journal(unit)
    home.box.run("systemctl", "restart", unit)
    # A signal before it is at work would only show how fast Python ends.
    started = STARTED[unit]
    wait_until(lambda: started in home.box.journal(unit)[len(before) :], 15, f"{unit} at work")
    begun = time.monotonic()
    home.box.run("systemctl", "stop", unit)
    seconds = time.monotonic() - begun
    print(f"{unit} stopped in {seconds:.2f} s (bound 1 s)")
    assert seconds < 1
    assert home.box.show(unit, "Result", "ExecMainStatus") == {"Result": "success", "ExecMainStatus": "0"}
    home.box.run("systemctl", "start", unit)


def _retained(home: Machine) -> list[str]:
    done = home.box.run("mosquitto_sub", *LOGIN, "-t", "ser-daemon/#", "-v", "-W", "1", check=False)
    return done.stdout.splitlines()
