"""A real broker, a scripted daemon, and `ser-mqtt` as a process."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import mosquitto
from support.bridge_process import BridgeProcess
from support.scripted_daemon import ScriptedDaemon


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
        started.append(BridgeProcess("ser_bridges.mqtt.cli", logs, *common, *arguments))
        return started[-1]

    yield start
    for process in started:
        process.close()
