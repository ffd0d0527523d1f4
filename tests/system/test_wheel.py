"""`ser-ctl install-service` from an installed wheel, without a source tree, under a real systemd."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from ser_daemon.client import Client
from support.box import wait_until
from system.conftest import Machine

# The modules of the wheel, not those that the tests may have been given.
pytestmark = pytest.mark.slow

OFFLINE = ("env", "--unset=PYTHONPATH", "PIP_NO_INDEX=1", "PIP_FIND_LINKS=/usr/src/wheels")
CTL = "/srv/wheel/bin/ser-ctl"

_INSTALL = """
cp -r /usr/src/ser-daemon /tmp/tree
/opt/ser-daemon/env-*/bin/python -I -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /tmp/made /tmp/tree
/usr/bin/python3 -m venv /srv/wheel
/srv/wheel/bin/pip install --quiet /tmp/made/*.whl
rm -r /tmp/tree /tmp/made
chmod -R a+rX /srv/wheel
"""


@pytest.fixture(scope="module")
def wheel(machine: Machine) -> Iterator[Machine]:
    """The box, with the wheel in a virtual environment, and the service of the source tree back afterwards."""
    # An earlier test may have removed it; its environment builds the wheel.
    machine.make("install-service")
    machine.box.run(*OFFLINE, "sh", "-euc", _INSTALL, timeout=300)
    yield machine
    machine.make("install-service")


def ctl(machine: Machine, *words: str, user: str | None = None) -> subprocess.CompletedProcess[str]:
    command = list(OFFLINE)
    if user is not None:
        uid = machine.box.run("id", "-u", user).stdout.strip()
        command.append(f"XDG_RUNTIME_DIR=/run/user/{uid}")
    return machine.box.run(*command, CTL, *words, user=user, check=False, timeout=300)


def test_the_wheel_installs_the_service_of_the_machine(wheel: Machine) -> None:
    wheel.make("uninstall-service", "PURGE=1")
    done = ctl(wheel, "install-service")
    assert done.returncode == 0, done.stderr
    assert "It runs. No microphone" in done.stdout
    wheel.wait_for("no-device")
    [environment] = wheel.box.path("/opt/ser-daemon").glob("env-*")
    [module] = environment.glob("lib/python3*/site-packages/ser_daemon/__init__.py")
    # An earlier test may have made the tree in the box a newer one.
    assert module.read_bytes() == wheel.box.path("/usr/src/ser-daemon/daemon/ser_daemon/__init__.py").read_bytes()
    page = wheel.box.run("readlink", "/usr/local/share/man/man1/ser-daemon.1").stdout.strip()
    assert page == "/opt/ser-daemon/share/man/man1/ser-daemon.1"
    before = wheel.pid()
    # The commands of the service are the same program: both find it up to date.
    for command in (CTL, "/usr/local/bin/ser-ctl"):
        again = wheel.box.run(*OFFLINE, command, "install-service", timeout=300)
        assert "is up to date" in again.stdout
    assert wheel.pid() == before


def test_settings_of_another_program_are_kept_and_named(wheel: Machine) -> None:
    for text, reason in (("foreign: 1\n", "config.yaml:1: foreign: unknown"), ("{", "config.yaml:")):
        wheel.settings(text)
        before = wheel.pid()
        done = ctl(wheel, "install-service")
        assert done.returncode == 2
        assert done.stderr.startswith("ser-ctl: Nothing was changed, as the service could not use its settings: ")
        assert reason in done.stderr
        assert (wheel.pid(), wheel.config.read_text()) == (before, text)
    wheel.settings("gate: {hangover_ms: 700}\n")
    wheel.config.chmod(0o600)
    assert "may not read it: chmod a+r /etc/ser-daemon/config.yaml" in ctl(wheel, "install-service").stderr
    wheel.config.chmod(0o644)


@pytest.mark.parametrize(
    "removed",
    [
        "/opt/ser-daemon/env-*/lib/python3*/site-packages/onnxruntime",
        "/opt/ser-daemon",
        "/etc/systemd/system/ser-daemon.service /etc/systemd/system/ser-daemon.socket",
    ],
)
def test_over_a_half_removed_installation_it_installs_and_removes(wheel: Machine, removed: str) -> None:
    for words, state in (("install-service", "no-device"), ("uninstall-service", "unreachable")):
        assert ctl(wheel, "install-service").returncode == 0
        wheel.box.run("sh", "-c", f"rm -r {removed}")
        done = ctl(wheel, words)
        assert done.returncode == 0, done.stderr
        wheel.wait_for(state)
    assert wheel.box.run("pgrep", "-f", "[s]er-daemon --service", check=False).stdout == ""


def test_a_user_without_rights_is_told_both_ways(wheel: Machine) -> None:
    done = ctl(wheel, "install-service", user="member")
    assert done.returncode == 2
    reason = f"needs root: sudo {CTL} install-service; a service of your own does not: ser-ctl install-service --user."
    assert reason in done.stderr


def test_a_user_installs_and_removes_a_service_of_the_session(wheel: Machine) -> None:
    wheel.box.run("loginctl", "enable-linger", "desktop")
    uid = wheel.box.run("id", "-u", "desktop").stdout.strip()
    wheel.box.run("systemctl", "start", f"user@{uid}")
    done = ctl(wheel, "install-service", "--user", user="desktop")
    assert done.returncode == 0, done.stderr
    client = Client(wheel.box.path(f"/run/user/{uid}/ser-daemon/ser.sock"))
    wait_until(lambda: client.request("status")["state"] != "starting", 20, "the user's service")
    config = wheel.box.path("/home/desktop/.config/ser-daemon/config.yaml")
    config.write_text("foreign: 1\n")
    done = ctl(wheel, "install-service", "--user", user="desktop")
    assert done.returncode == 2
    assert "Nothing was changed, as the service could not use its settings: " in done.stderr
    assert "config.yaml:1: foreign: unknown" in done.stderr
    config.write_text("gate: {hangover_ms: 700}\n")
    wheel.box.run("sh", "-c", "rm -r /home/desktop/.local/share/ser-daemon")
    done = ctl(wheel, "install-service", "--user", user="desktop")
    assert done.returncode == 0, done.stderr
    wait_until(lambda: client.request("status")["state"] != "starting", 20, "the user's service again")
    wheel.box.run("sh", "-c", "rm -r /home/desktop/.local/share/ser-daemon")
    done = ctl(wheel, "uninstall-service", "--user", "--purge", user="desktop")
    assert done.returncode == 0, done.stderr
    find = "find /home/desktop /run/user -name '*ser-daemon*' -o -name 'ser-*' -o -name '_ser-*'"
    assert wheel.box.run("sh", "-c", find).stdout == ""


def test_without_a_network_nothing_is_left(wheel: Machine) -> None:
    # The settings of this machine's pip may name wheels on its disk.
    alone = [
        "env",
        "--unset=PYTHONPATH",
        "--unset=PIP_NO_INDEX",
        "--unset=PIP_FIND_LINKS",
        "PIP_CONFIG_FILE=/dev/null",
        "PIP_RETRIES=1",
    ]
    places = ["find", "/opt", "/etc/ser-daemon", "/etc/systemd/system"]
    wheel.box.run("rm", "-rf", "/opt/ser-daemon")
    before = wheel.box.run(*places).stdout
    done = wheel.box.run(*alone, CTL, "install-service", check=False, timeout=120)
    assert done.returncode == 2
    assert "no package index can be reached. Connect to a network" in done.stderr
    assert wheel.box.run(*places).stdout == before
