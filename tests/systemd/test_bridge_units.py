"""The units of the bridges: accepted by systemd, sandboxed, and with options that exist."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from ser_daemon.paths import SYSTEM_SOCKET
from ser_daemon.sources.wyoming_uri import parse_uri
from support.commands import MODULES

FOLDER = Path(__file__).resolve().parents[2] / "systemd/bridges"
UNITS = sorted(FOLDER.rglob("*.service"))
WYOMING = sorted(FOLDER.rglob("ser-wyoming.service"))
MQTT = sorted(FOLDER.rglob("ser-mqtt.service"))
OVOS = sorted(FOLDER.rglob("ser-ovos.service"))
WEB = sorted(FOLDER.rglob("ser-web.service"))


USER_SOCKET = "/run/user/1000/ser-daemon/ser.sock"


def is_user(unit: Path) -> bool:
    """Whether it is a unit of a user's session."""
    return unit.parent.name == "user"


def name_of(unit: Path) -> str:
    return str(unit.relative_to(FOLDER))


def command_of(unit: Path) -> list[str]:
    """Return the arguments of `ExecStart=`, for folders of this machine."""
    (line,) = re.findall(r"^ExecStart=(.*)$", unit.read_text(), re.MULTILINE)
    return shlex.split(line.replace("%t", "/run/user/1000").replace("%h", "/home/anna"))


def test_there_is_one_for_the_machine_and_one_for_a_user() -> None:
    for units in (WYOMING, MQTT, OVOS, WEB):
        assert [unit.parent.name for unit in units] == ["bridges", "user"]


@pytest.mark.parametrize("unit", UNITS, ids=name_of)
def test_systemd_accepts_it_and_rates_its_sandbox_as_safe(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on this machine")
    copy = tmp_path / unit.name
    # `verify` requires that the command exists.
    copy.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text(), flags=re.MULTILINE))
    scope = "user" if is_user(unit) else "system"
    environ = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
    command = ["systemd-analyze", f"--{scope}", "--man=no", "verify", str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environ)
    if "Failed to initialize manager" not in done.stderr:
        assert [line for line in done.stderr.splitlines() if unit.name in line] == []
    if scope == "system":
        # The threshold has no decimal point: 15 stands for 1.5 of 10. The network is what it cannot do without.
        command = ["systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", str(copy)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout[-1000:] + done.stderr


def options_of(unit: Path, program: str) -> argparse.Namespace:
    """Return what a bridge's own parser makes of `ExecStart=`."""
    command, *arguments = command_of(unit)
    assert Path(command).name == program
    parser = importlib.import_module(MODULES[program]).build_parser()
    assert isinstance(parser, argparse.ArgumentParser)
    return parser.parse_args(arguments)


@pytest.mark.parametrize("unit", WYOMING, ids=name_of)
def test_ser_wyoming_is_reached_from_this_machine_only(unit: Path) -> None:
    uri = str(parse_uri(options_of(unit, "ser-wyoming").uri))
    assert "127.0.0.1" in uri or "/run/user" in uri


@pytest.mark.parametrize("unit", MQTT, ids=name_of)
def test_ser_mqtt_has_the_sockets_and_settings_that_there_are(unit: Path) -> None:
    options = options_of(unit, "ser-mqtt")
    user = ("/home/anna/.config/ser-daemon/mqtt.yaml", USER_SOCKET)
    system = ("/etc/ser-daemon/mqtt.yaml", str(SYSTEM_SOCKET))
    assert (str(options.config), str(options.socket)) == (user if is_user(unit) else system)


@pytest.mark.parametrize("unit", OVOS, ids=name_of)
def test_ser_ovos_has_a_socket_that_there_is_and_no_other_machine(unit: Path) -> None:
    options = options_of(unit, "ser-ovos")
    user, system = (None, USER_SOCKET), ("ws://127.0.0.1:8181/core", str(SYSTEM_SOCKET))
    assert (options.url, str(options.socket)) == (user if is_user(unit) else system)


@pytest.mark.parametrize("unit", WEB, ids=name_of)
def test_ser_web_has_a_token_file_and_listens_on_this_machine_only(unit: Path) -> None:
    options = options_of(unit, "ser-web")
    assert options.host == "127.0.0.1"
    user = ("/home/anna/.config/ser-daemon/web-token", USER_SOCKET)
    system = ("${CREDENTIALS_DIRECTORY}/web-token", str(SYSTEM_SOCKET))
    assert (str(options.token_file), str(options.socket)) == (user if is_user(unit) else system)


@pytest.mark.parametrize("scope", ["", "user"], ids=["system", "user"])
def test_ser_mqtt_has_the_sandbox_of_the_daemon_but_for_the_network(scope: str) -> None:
    pattern = re.compile(r"^((?:Protect|Private|Restrict|Lock|Memory|SystemCall|NoNew|Cap)\w*=.*)$", re.MULTILINE)
    bridge, daemon = (
        set(pattern.findall(path.read_text()))
        for path in (FOLDER / scope / "ser-mqtt.service", FOLDER.parent / scope / "ser-daemon.service")
    )
    other = {"RestrictAddressFamilies=AF_UNIX", "PrivateNetwork=yes", "MemoryMax=512M"}
    assert daemon - bridge == other & daemon
    assert "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6" in bridge
