"""systemd understands the units as they are meant."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from ser_daemon.config_schema import RULES
from ser_daemon.paths import SYSTEM_SOCKET, control_socket

UNITS = Path(__file__).resolve().parents[2] / "systemd"
SCRIPTS = Path(sysconfig.get_path("scripts"))


def read(path: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False, comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[method-assign, assignment]
    parser.read_string(path.read_text())
    return parser


@pytest.mark.parametrize("scope", ["system", "user"])
def test_systemd_accepts_the_units(tmp_path: Path, scope: str) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on this machine")
    folder = UNITS if scope == "system" else UNITS / "user"
    copies = []
    for unit in sorted(folder.glob("ser-daemon*.*")):
        # verify looks at the commands, which are installed elsewhere here.
        text = unit.read_text().replace("/opt/ser-daemon/bin", str(SCRIPTS))
        copy = tmp_path / unit.name
        copy.write_text(text.replace("%h/.local/bin", str(SCRIPTS)))
        copies.append(str(copy))
    assert len(copies) == 3
    command = ["systemd-analyze", f"--{scope}", "--man=no", "verify", *copies]
    environ = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environ)
    if "Failed to initialize manager" in done.stderr:
        pytest.skip(f"systemd-analyze cannot work here: {done.stderr.strip()}")
    complaints = [line for line in done.stderr.splitlines() if "ser-daemon" in line]
    assert complaints == []
    assert done.returncode == 0, done.stderr


def test_the_sandbox_is_scored_safe(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on this machine")
    unit = tmp_path / "ser-daemon.service"
    unit.write_text((UNITS / unit.name).read_text().replace("/opt/ser-daemon/bin", str(SCRIPTS)))
    # 20 of 100: systemd's own words from there down are "OK".
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr


def test_the_sockets_are_where_clients_look() -> None:
    sockets = {name: read(UNITS / f"{name}.socket")["Socket"] for name in ("ser-daemon", "ser-daemon-control")}
    assert sockets["ser-daemon"]["ListenStream"] == str(SYSTEM_SOCKET)
    assert sockets["ser-daemon-control"]["ListenStream"] == str(control_socket(SYSTEM_SOCKET))
    for socket, name in zip(sockets.values(), ("events", "control"), strict=True):
        assert (socket["FileDescriptorName"], socket["SocketMode"], socket["SocketGroup"]) == (
            name,
            "0660",
            "ser",
        )


def test_the_service_may_open_as_many_files_as_it_may_have_subscribers() -> None:
    for path in (UNITS / "ser-daemon.service", UNITS / "user" / "ser-daemon.service"):
        assert int(read(path)["Service"]["LimitNOFILE"]) > RULES["socket.max_clients"].high


def test_the_group_is_made(tmp_path: Path) -> None:
    if shutil.which("systemd-sysusers") is None:
        pytest.skip("no systemd-sysusers on this machine")
    (tmp_path / "etc").mkdir()
    command = ["systemd-sysusers", f"--root={tmp_path}", str(UNITS / "sysusers.d" / "ser-daemon.conf")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "etc" / "group").read_text().startswith("ser:")
