"""A box with the installed service, users with and without permissions, and a microphone."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from ser_daemon.client import Client, RequestFailed
from ser_model.errors import SerError
from support.box import Box, BoxError, box, unavailable_reason, wait_until

ROOT = Path(__file__).resolve().parents[2]

PULSE = "unix:/run/microphone/native"

_FILES = (
    "Makefile .ci systemd model/ser_model daemon/ser_daemon calibration/ser_calibration bridges/ser_bridges "
    "docs/service.md config.yaml share setup.py "
    "pyproject.toml README.md LICENSE"
)
_PREPARE = f"""
mkdir -p /usr/src/ser-daemon
cd {ROOT}
cp -r --parents {_FILES} /usr/src/ser-daemon
cd /usr/src/ser-daemon
make install-service
# Python 3.13 finds no environment through the link /opt/ser-daemon/bin.
/opt/ser-daemon/env-*/bin/python -m pip download --quiet --no-deps --require-hashes -r systemd/requirements.txt \\
    --dest /usr/src/wheels
# What the bridges need besides.
/opt/ser-daemon/env-*/bin/python -m pip download --quiet --dest /usr/src/wheels aiomqtt wyoming aiohttp
useradd --no-create-home --groups ser member
useradd --no-create-home --groups ser,ser-control controller
useradd --no-create-home stranger
useradd --create-home desktop
cat >/etc/asound.conf <<'END'
pcm.!default {{ type pulse server "{PULSE}" hint {{ show on description "microphone" }} }}
ctl.!default {{ type pulse server "{PULSE}" }}
END
cat >/etc/systemd/system/microphone.service <<'END'
[Service]
RuntimeDirectory=microphone
Environment=HOME=/run/microphone XDG_RUNTIME_DIR=/run/microphone
ExecStart=/usr/bin/pulseaudio -n --daemonize=no --exit-idle-time=-1 --use-pid-file=no --realtime=no \\
    --high-priority=no --disable-shm=yes --load=module-null-sink \\
    "--load=module-sine-source source_name=hum frequency=50" \\
    "--load=module-native-protocol-unix socket=/run/microphone/native auth-anonymous=1"
END
"""
_OFFLINE = ("onnection", "name resolution", "No matching distribution", "Max retries")


class Machine:
    """The box, and access to the service in it."""

    def __init__(self, inside: Box) -> None:
        self.box = inside
        self.socket = inside.path("/run/ser-daemon/ser.sock")
        self.config = inside.path("/etc/ser-daemon/config.yaml")

    def client(self, name: str = "ser", timeout: float = 10) -> Client:
        """Return a client of root, from outside of the box."""
        return Client(self.socket.with_name(f"{name}.sock"), timeout=timeout)

    def state(self, name: str = "ser") -> str:
        """Return the audio state, or `unreachable`."""
        try:
            return str(self.client(name, timeout=2).request("status")["state"])
        except (SerError, RequestFailed, OSError):
            return "unreachable"

    def wait_for(self, state: str, seconds: float = 20, name: str = "ser") -> float:
        """Wait for an audio state; return the seconds that this took."""
        return wait_until(lambda: self.state(name) == state, seconds, f"the state {state}")

    def pid(self, unit: str = "ser-daemon.service") -> int:
        """Return the service's process id inside the box, or 0."""
        return int(self.box.show(unit, "MainPID")["MainPID"])

    def ctl(self, *words: str, user: str) -> tuple[int, str]:
        """Run ser-ctl as a user; return exit status and output."""
        done = self.box.run("ser-ctl", *words, user=user, check=False)
        return done.returncode, done.stdout + done.stderr

    def settings(self, text: str) -> None:
        """Write the machine's settings."""
        self.config.write_text(text)

    def make(self, *words: str, user: str | None = None) -> str:
        """Run make in the source tree; return its output."""
        return self._make(words, user, check=True).stdout

    def try_make(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run make, which may fail."""
        return self._make(words, None, check=False)

    def _make(self, words: Sequence[str], user: str | None, *, check: bool) -> subprocess.CompletedProcess[str]:
        offline = ["env", "PIP_NO_INDEX=1", "PIP_FIND_LINKS=/usr/src/wheels"]
        if user is not None:
            uid = self.box.run("id", "-u", user).stdout.strip()
            offline.append(f"XDG_RUNTIME_DIR=/run/user/{uid}")
        command = [*offline, "make", "--silent", "--directory=/usr/src/ser-daemon", *words]
        return self.box.run(*command, user=user, check=check, timeout=240)

    def plug_in(self) -> None:
        """Start a sound server with the microphone `hum` and one to play into; wait until it works."""
        if shutil.which("pulseaudio") is None or shutil.which("paplay") is None:
            pytest.skip("there is no sound server here")
        self.box.run("systemctl", "start", "microphone")
        self.pactl("set-default-source", "hum")

    def pactl(self, *words: str) -> None:
        """Run pactl, as soon as the sound server answers."""
        command = ["env", f"PULSE_SERVER={PULSE}", "pactl", *words]
        wait_until(lambda: self.box.run(*command, check=False).returncode == 0, 10, "the sound server")

    def play(self, recording: Path) -> subprocess.Popen[bytes]:
        """Start to play into the microphone."""
        command = self.box.command("env", f"PULSE_SERVER={PULSE}", "paplay", str(recording))
        return subprocess.Popen(command, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """Yield a booted box with the service installed from this source, without a microphone."""
    if reason := unavailable_reason():
        pytest.skip(reason)
    for tool in ("make", "useradd"):
        if shutil.which(tool) is None:
            pytest.skip(f"there is no {tool} here")
    try:
        with box(_PREPARE, ROOT) as inside:
            inside.boot()
            yield Machine(inside)
    except BoxError as error:
        if any(word in str(error) for word in _OFFLINE):
            pytest.skip(f"the service's dependencies cannot be downloaded here: {error}")
        raise


@pytest.fixture
def service(machine: Machine) -> Machine:
    """Return the box with the service just started, unmuted, with default settings, without a microphone."""
    machine.box.run("systemctl", "stop", "microphone", "ser-daemon.service", check=False)
    machine.config.write_bytes((ROOT / "config.yaml").read_bytes())
    machine.box.run("rm", "-f", "/var/lib/private/ser-daemon/muted")
    machine.box.run("systemctl", "start", "ser-daemon.service")
    machine.wait_for("no-device")
    return machine
