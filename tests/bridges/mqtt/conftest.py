"""A real broker, a scripted daemon, and `ser-mqtt` as a process."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import mosquitto
from support.daemon import wait_for
from support.scripted_daemon import ScriptedDaemon


class BridgeProcess:
    """`ser-mqtt`, with its log in a file."""

    def __init__(self, folder: Path, *arguments: object) -> None:
        self._log = folder / "bridge.log"
        command = [sys.executable, "-m", "ser_bridges.mqtt.cli", *map(str, arguments)]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def wait_for_log(self, *words: str) -> None:
        wait_for(lambda: all(word in self.log for word in words) or self.process.poll() is not None)
        assert [word for word in words if word not in self.log] == [], self.log

    def wait(self) -> int:
        return self.process.wait(30)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a path short enough for a Unix socket."""
    with tempfile.TemporaryDirectory(prefix="ser-", dir="/tmp") as name:
        yield Path(name)


@pytest.fixture
def broker(folder: Path) -> Iterator[mosquitto.Broker]:
    reason = mosquitto.missing()
    if reason is not None:
        pytest.skip(reason)
    with mosquitto.Broker(folder) as broker:
        yield broker


@pytest.fixture
def daemon(folder: Path) -> Iterator[ScriptedDaemon]:
    with ScriptedDaemon(folder) as daemon:
        yield daemon


@pytest.fixture
def bridge(folder: Path) -> Iterator[Callable[..., BridgeProcess]]:
    """Starts bridges with the given options, for the scripted daemon and the room `Kitchen`."""
    pytest.importorskip("aiomqtt")
    started: list[BridgeProcess] = []

    def start(port: int, *arguments: object) -> BridgeProcess:
        logs = folder / f"bridge-{len(started)}"
        logs.mkdir()
        common = ("--port", port, "--socket", folder / "ser.sock", "--room", "Kitchen", "--id", "ser-test")
        started.append(BridgeProcess(logs, *common, *arguments))
        return started[-1]

    yield start
    for process in started:
        process.close()
