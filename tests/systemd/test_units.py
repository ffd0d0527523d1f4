"""The systemd units: accepted by systemd, sandboxed, and consistent with the program."""

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
SERVICES = sorted([*UNITS.glob("*.service"), *UNITS.glob("user/*.service")])
SCRIPTS = Path(sysconfig.get_path("scripts"))


def read(path: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False, comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[method-assign, assignment]
    parser.read_string(path.read_text())
    return parser


def with_local_commands(unit: Path) -> str:
    """Return a unit's text with commands of this machine in place of the installed ones."""
    text = re.sub(r"(/opt|%h/.local/share)/ser-daemon/bin/", f"{SCRIPTS}/", unit.read_text())
    return re.sub(r"(/opt|%h/.local/share)/ser-daemon/start-backoff", str(UNITS / "start-backoff"), text)


@pytest.mark.parametrize("scope", ["system", "user"])
def test_systemd_accepts_the_units(tmp_path: Path, scope: str) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on this machine")
    folder = UNITS if scope == "system" else UNITS / "user"
    copies = []
    for unit in sorted(folder.glob("ser-daemon*.*")):
        # `verify` requires that the commands exist.
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
def test_systemd_rates_the_sandbox_as_safe(tmp_path: Path, name: str) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on this machine")
    unit = tmp_path / name
    unit.write_text(with_local_commands(UNITS / name))
    # The threshold has no decimal point: 6 stands for 0.6 of 10.
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=6", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr


@pytest.mark.parametrize("scope", ["system", "user"])
@pytest.mark.parametrize("kind", [".service", ".socket", "-control.socket"])
def test_a_template_differs_from_the_unit_in_names_only(scope: str, kind: str) -> None:
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


def test_the_start_backoff_waits_longer_after_each_of_many_starts(tmp_path: Path) -> None:
    # A `sleep` that prints its argument and returns at once.
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
    # Starts of long ago do not count, nor those in the future, which a wrong clock has written.
    (tmp_path / "starts").write_text("1000\n" * 10 + "99999999999\n" * 10)
    done = subprocess.run(
        [UNITS / "start-backoff"], env=environ, capture_output=True, text=True, timeout=10, check=True
    )
    assert done.stdout == ""


def test_the_lock_file_has_every_dependency_with_hashes_and_no_index() -> None:
    text = (UNITS / "requirements.txt").read_text()
    pins = dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\$", text, re.MULTILINE))
    project = tomllib.loads((UNITS.parent / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for dependency in wanted:
        name = re.split(r"[<>=]", dependency)[0].lower()
        assert name in pins, f"{name} is missing: make lock"
    assert text.count("--hash=sha256:") > len(pins)
    assert not re.search(r"://|index-url|find-links|trusted-host", text)


def test_the_sockets_have_the_paths_that_clients_try() -> None:
    sockets = {name: read(UNITS / f"{name}.socket")["Socket"] for name in ("ser-daemon", "ser-daemon-control")}
    assert sockets["ser-daemon"]["ListenStream"] == str(SYSTEM_SOCKET)
    assert sockets["ser-daemon-control"]["ListenStream"] == str(control_socket(SYSTEM_SOCKET))
    rights = [(sock["FileDescriptorName"], sock["SocketMode"], sock["SocketGroup"]) for sock in sockets.values()]
    assert rights == [("events", "0660", "ser"), ("control", "0660", "ser-control")]


def test_the_file_limit_allows_all_subscribers() -> None:
    for path in (UNITS / "ser-daemon.service", UNITS / "user" / "ser-daemon.service"):
        # For each of the two sockets.
        assert int(read(path)["Service"]["LimitNOFILE"]) > 2 * KEYS["socket.max_clients"].bounds.high + 256


NOT_FOR_USERS = {
    # With these a unit of a user's manager does not start: they take capabilities or other groups.
    *("CapabilityBoundingSet", "DynamicUser", "ProtectClock", "ProtectKernelLogs", "ProtectKernelModules"),
    "SupplementaryGroups",
    # These change nothing there: they need namespaces of files, or control groups for devices and addresses.
    *("DeviceAllow", "DevicePolicy", "IPAddressDeny", "PrivateMounts", "PrivateNetwork", "PrivateTmp"),
    *("ProtectControlGroups", "ProtectHome", "ProtectHostname", "ProtectKernelTunables", "ProtectProc"),
    "ProtectSystem",
    # The state lies where the XDG base directory specification puts it, not where a user's manager of this age does.
    *("StateDirectory", "StateDirectoryMode"),
}


def test_the_users_unit_has_all_that_a_users_manager_honours() -> None:
    system, user = (read(folder / "ser-daemon.service")["Service"] for folder in (UNITS, UNITS / "user"))
    assert set(system) - set(user) == NOT_FOR_USERS
    own = {"ExecStartPre", "ExecStart", "ExecReload"}
    assert {key: value for key, value in user.items() if key not in own and system.get(key) != value} == {}
    # RawConfigParser keeps the last of several lines only.
    filters = [re.findall(r"^SystemCallFilter=.*$", path.read_text(), re.MULTILINE) for path in SERVICES]
    assert len(SERVICES) == 4
    assert all(lines == filters[0] for lines in filters)


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: str(path.relative_to(UNITS)))
def test_every_service_limits_memory_tasks_and_processor(path: Path) -> None:
    service = read(path)["Service"]
    limits = ("MemoryMax", "MemorySwapMax", "TasksMax", "CPUQuota", "OOMPolicy", "OOMScoreAdjust", "LimitCORE")
    assert [service[name] for name in limits] == ["512M", "0", "64", "100%", "stop", "200", "0"]


def test_the_groups_are_created(tmp_path: Path) -> None:
    if shutil.which("systemd-sysusers") is None:
        pytest.skip("no systemd-sysusers on this machine")
    (tmp_path / "etc").mkdir()
    command = ["systemd-sysusers", f"--root={tmp_path}", str(UNITS / "sysusers.d" / "ser-daemon.conf")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    groups = [line.split(":")[0] for line in (tmp_path / "etc" / "group").read_text().splitlines()]
    assert sorted(groups) == ["ser", "ser-control"]
