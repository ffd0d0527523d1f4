"""The Containerfile and compose.yaml: what they name exists, and they agree with the program and with each other.

`tests/system/test_container.py` builds and runs the images.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from ser_bridges.mqtt.cli import build_parser as mqtt_parser
from ser_daemon.cli.ctl import build_parser as ctl_parser
from ser_daemon.cli.daemon import build_parser as daemon_parser
from ser_daemon.install.program import PACKAGES, PROJECT
from ser_daemon.paths import SYSTEM_SOCKET, candidate_sockets, config_files, state_directory

ROOT = Path(__file__).resolve().parents[1]
PROJECT_FILE = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


class Instruction(NamedTuple):
    stage: str
    name: str
    text: str


def instructions() -> list[Instruction]:
    """The instructions of the Containerfile with the stage that each is in."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Containerfile").read_text(), flags=re.MULTILINE)
    found, stage = [], ""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if line.strip():
            name, _, rest = line.partition(" ")
            if name == "FROM":
                stage = re.fullmatch(r"(\S+) AS (\S+)", rest)[2]  # type: ignore[index]
            found.append(Instruction(stage, name, rest.strip()))
    return found


INSTRUCTIONS = instructions()
STAGES = [each.stage for each in INSTRUCTIONS if each.name == "FROM"]


def of(name: str, *stages: str) -> list[str]:
    return [each.text for each in INSTRUCTIONS if each.name == name and (not stages or each.stage in stages)]


def environment() -> dict[str, str]:
    pairs = (word.split("=", 1) for text in of("ENV", "runtime", "daemon") for word in shlex.split(text))
    return dict(pairs)  # type: ignore[arg-type]


def ignored(path: str) -> bool:
    """Whether .containerignore keeps a path out: the last pattern that fits decides."""
    result = False
    for line in (ROOT / ".containerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if not line or line.startswith("#"):
            continue
        parents = [path, *(str(parent) for parent in Path(path).parents)]
        if any(fnmatch(parent, pattern) or f"**/{Path(parent).name}" == pattern for parent in parents):
            result = not line.startswith("!")
    return result


def test_only_what_the_program_is_built_from_goes_into_the_build() -> None:
    sources = [word for text in of("COPY") if "--from=" not in text for word in text.split()[:-1]]
    for name in (*PROJECT, *PACKAGES, *(source.rstrip("/") for source in sources if source != ".")):
        assert (ROOT / name).exists(), name
        assert not ignored(name), name
    for name in (".git", ".venv", "tests", "docs/service.md.orig", "docs/gate.md", "dist", "model/__pycache__"):
        assert ignored(name), name
    assert (ROOT / ".dockerignore").read_text() == (ROOT / ".containerignore").read_text()


def test_a_stage_is_copied_from_or_built_upon_only_after_it() -> None:
    assert STAGES[-1] == "daemon", "the last stage is what is built if none is named"
    for each in INSTRUCTIONS:
        match = re.match(r"--from=(\S+) ", each.text) if each.name == "COPY" else None
        if match:
            assert STAGES.index(match[1]) < STAGES.index(each.stage)
        if each.name == "FROM" and not each.text.startswith("${BASE}"):
            assert each.text.split()[0] in STAGES[: STAGES.index(each.stage)]


def test_the_versions_are_locked_and_agree() -> None:
    (install,) = (text for text in of("RUN", "build") if "requirements.txt" in text)
    assert "--require-hashes" in install
    labels = dict(word.split("=", 1) for word in shlex.split(of("LABEL")[0]))
    assert labels["org.opencontainers.image.version"] == PROJECT_FILE["version"]
    assert labels["org.opencontainers.image.licenses"] == PROJECT_FILE["license"]
    assert labels["org.opencontainers.image.description"] == PROJECT_FILE["description"]
    (extras,) = re.findall(r"'ser-daemon\[(.*?)\]'", (ROOT / "Containerfile").read_text())
    assert set(extras.split(",")) <= set(PROJECT_FILE["optional-dependencies"])


def test_the_processes_are_not_root_and_the_program_finds_its_places() -> None:
    *_, user = of("USER", "runtime", "daemon", "bridges")
    assert user.split(":")[0] not in ("0", "root")
    environ = environment()
    assert candidate_sockets(None, environ) == [SYSTEM_SOCKET]
    assert SYSTEM_SOCKET.parent == Path("/run/ser-daemon")
    assert json.loads(of("VOLUME", "daemon")[0]) == [str(SYSTEM_SOCKET.parent), str(state_directory(environ))]
    assert environ["PULSE_SERVER"] == "unix:/run/pulse/native"
    assert environ["container"]


def test_the_commands_are_understood() -> None:
    tini, dashes, program, *options = json.loads(of("ENTRYPOINT", "daemon")[0])
    assert (tini, dashes) == ("tini", "--")
    assert " tini " in of("RUN", "runtime")[0]
    assert program in PROJECT_FILE["scripts"]
    assert daemon_parser().parse_args(options).service
    (health,) = of("HEALTHCHECK")
    program, *options = shlex.split(health.partition("CMD ")[2].partition("||")[0])
    assert program in PROJECT_FILE["scripts"]
    assert ctl_parser().parse_args(options).command == "status"


def test_the_composed_daemon_is_the_image_with_fewer_rights() -> None:
    daemon = SERVICES["daemon"]
    assert (daemon["network_mode"], daemon["read_only"], daemon["cap_drop"]) == ("none", True, ["ALL"])
    assert daemon["healthcheck"]["test"] == ["CMD-SHELL", of("HEALTHCHECK")[0].partition("CMD ")[2]]
    for name in ("interval", "timeout", "start_period"):
        assert f"--{name.replace('_', '-')}={daemon['healthcheck'][name]}" in of("HEALTHCHECK")[0]
    unit = (ROOT / "systemd/ser-daemon.service").read_text()
    assert f"MemoryMax={daemon['mem_limit'].upper()}\n" in unit
    for name, value in (("TasksMax", daemon["pids_limit"]), ("LimitNOFILE", daemon["ulimits"]["nofile"])):
        assert f"{name}={value}\n" in unit
    mounted = [volume.split(":")[-1] for volume in daemon["volumes"]]
    assert mounted == [*json.loads(of("VOLUME", "daemon")[0]), "/run/pulse"]
    # What is commented out, as the program reads it.
    assert f":{config_files({'HOME': '/x'})[-1].parent}:ro" in (ROOT / "compose.yaml").read_text()


def test_the_composed_bridge_reaches_the_daemon_and_the_broker() -> None:
    bridge, daemon = SERVICES["bridge"], SERVICES["daemon"]
    assert bridge["build"]["target"] in STAGES
    assert bridge["user"] == daemon["user"], "the sockets are for their owner only"
    assert f"sockets:{SYSTEM_SOCKET.parent}:ro" in bridge["volumes"]
    program, *options = bridge["command"]
    assert program in PROJECT_FILE["scripts"]
    assert mqtt_parser().parse_args(options).host in SERVICES
    (port,) = SERVICES["broker"]["ports"]
    assert port.startswith("127.0.0.1:"), "a broker without a password is for this machine only"
    for service in SERVICES.values():
        assert set(service.get("depends_on", ())) <= set(SERVICES)
        names = {volume.split(":")[0] for volume in service.get("volumes", ()) if volume[0].isalpha()}
        assert names <= set(COMPOSE["volumes"])


def test_docker_compose_accepts_it() -> None:
    if shutil.which("docker-compose") is None:
        pytest.skip("no docker-compose on this machine")
    environ = {**os.environ, "XDG_RUNTIME_DIR": "/run/user/1000"}
    command = ["docker-compose", "--file", str(ROOT / "compose.yaml"), "config"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environ)
    assert done.returncode == 0, done.stderr
    assert set(yaml.safe_load(done.stdout)["services"]) == set(SERVICES)
    del environ["XDG_RUNTIME_DIR"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environ)
    assert done.returncode != 0
    assert "the folder in which your sound server has its socket" in done.stderr
