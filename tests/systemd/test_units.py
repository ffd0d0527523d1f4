"""systemd understands the units as they are meant."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sysconfig
import tomllib
from pathlib import Path

import pytest

from ser_daemon.config.schema import KEYS
from ser_daemon.paths import SYSTEM_SOCKET, control_socket

UNITS = Path(__file__).resolve().parents[2] / "systemd"
SCRIPTS = Path(sysconfig.get_path("scripts"))


def read(path: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False, comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[method-assign, assignment]
    parser.read_string(path.read_text())
    return parser


def with_local_commands(unit: Path) -> str:
    """A unit's text with commands that exist here: what it names is installed elsewhere."""
    text = re.sub(r"(/opt|%h/.local/share)/ser-daemon/bin/", f"{SCRIPTS}/", unit.read_text())
    return re.sub(r"(/opt|%h/.local/share)/ser-daemon/start-backoff", str(UNITS / "start-backoff"), text)


@pytest.mark.parametrize("scope", ["system", "user"])
def test_systemd_accepts_the_units(tmp_path: Path, scope: str) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on this machine")
    folder = UNITS if scope == "system" else UNITS / "user"
    copies = []
    for unit in sorted(folder.glob("ser-daemon*.*")):
        # verify looks at the commands, which are installed elsewhere here.
        copy = tmp_path / unit.name.replace("@.", "@kitchen.")
        copy.write_text(with_local_commands(unit))
        copies.append(str(copy))
    assert len(copies) == 6
    command = ["systemd-analyze", f"--{scope}", "--man=no", "verify", *copies]
    environ = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environ)
    if "Failed to initialize manager" in done.stderr:
        pytest.skip(f"systemd-analyze cannot work here: {done.stderr.strip()}")
    complaints = [line for line in done.stderr.splitlines() if "ser-daemon" in line]
    assert complaints == []
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["ser-daemon.service", "ser-daemon@.service"])
def test_the_sandbox_is_scored_safe(tmp_path: Path, name: str) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on this machine")
    unit = tmp_path / name
    unit.write_text(with_local_commands(UNITS / name))
    # In hundredths of ten points: 6 is shown as 0.6.
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=6", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr


@pytest.mark.parametrize("scope", ["system", "user"])
@pytest.mark.parametrize("kind", [".service", ".socket", "-control.socket"])
def test_an_instance_is_the_same_but_for_its_names(scope: str, kind: str) -> None:
    folder = UNITS if scope == "system" else UNITS / "user"
    name, suffix = f"ser-daemon{kind}".split(".")
    single = read(folder / f"{name}.{suffix}")
    template = read(folder / f"{name}@.{suffix}")
    differing = set()
    for section in template.sections():
        for key, value in template[section].items():
            if value != single[section].get(key):
                differing.add(key)
                assert "%i" in value
        assert set(single[section]) <= set(template[section])
    own_names = {"Description", "Service", "ListenStream"}
    files = {"Requires", "Sockets", "Also", "ExecStart", "ExecReload", "StateDirectory", "RuntimeDirectory"}
    assert differing <= own_names | files | {"Environment"}


def test_the_start_backoff_is_off_at_first_and_then_holds_longer_and_longer(tmp_path: Path) -> None:
    # Instead of waiting, say for how long.
    (tmp_path / "sleep").write_text("#!/bin/sh\necho $1\n")
    (tmp_path / "sleep").chmod(0o755)
    environ = {"RUNTIME_DIRECTORY": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    waits = []
    for _ in range(10):
        done = subprocess.run(
            [UNITS / "start-backoff"], env=environ, capture_output=True, text=True, timeout=10, check=True
        )
        waits.append(int(done.stdout.split()[-1]) if done.stdout else 0)
    assert waits == [0, 0, 0, 1, 2, 4, 8, 15, 15, 15]
    # What is long ago counts no more, nor what a clock that was wrong has left.
    (tmp_path / "starts").write_text("1000\n" * 10 + "99999999999\n" * 10)
    done = subprocess.run(
        [UNITS / "start-backoff"], env=environ, capture_output=True, text=True, timeout=10, check=True
    )
    assert done.stdout == ""


def test_the_lock_file_names_every_dependency_with_hashes_and_no_source() -> None:
    text = (UNITS / "requirements.txt").read_text()
    pins = dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\$", text, re.MULTILINE))
    project = tomllib.loads((UNITS.parent / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for dependency in wanted:
        name = re.split(r"[<>=]", dependency)[0].lower()
        assert name in pins, f"{name} is missing: make lock"
    assert text.count("--hash=sha256:") > len(pins)
    assert not re.search(r"://|index-url|find-links|trusted-host", text)


def test_the_sockets_are_where_clients_look() -> None:
    sockets = {name: read(UNITS / f"{name}.socket")["Socket"] for name in ("ser-daemon", "ser-daemon-control")}
    assert sockets["ser-daemon"]["ListenStream"] == str(SYSTEM_SOCKET)
    assert sockets["ser-daemon-control"]["ListenStream"] == str(control_socket(SYSTEM_SOCKET))
    rights = [(sock["FileDescriptorName"], sock["SocketMode"], sock["SocketGroup"]) for sock in sockets.values()]
    assert rights == [("events", "0660", "ser"), ("control", "0660", "ser-control")]


def test_the_service_may_open_as_many_files_as_it_may_have_subscribers() -> None:
    for path in (UNITS / "ser-daemon.service", UNITS / "user" / "ser-daemon.service"):
        assert int(read(path)["Service"]["LimitNOFILE"]) > KEYS["socket.max_clients"].bounds.high


def test_the_groups_are_made(tmp_path: Path) -> None:
    if shutil.which("systemd-sysusers") is None:
        pytest.skip("no systemd-sysusers on this machine")
    (tmp_path / "etc").mkdir()
    command = ["systemd-sysusers", f"--root={tmp_path}", str(UNITS / "sysusers.d" / "ser-daemon.conf")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    groups = [line.split(":")[0] for line in (tmp_path / "etc" / "group").read_text().splitlines()]
    assert sorted(groups) == ["ser", "ser-control"]
