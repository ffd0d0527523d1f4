"""A real message bus, a scripted daemon, and `ser-ovos` as a process."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.bridge_process import BridgeProcess
from support.scripted_daemon import ScriptedDaemon

if TYPE_CHECKING:
    from support.ovos_bus import MessageBus


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a path short enough for a Unix socket."""
    with tempfile.TemporaryDirectory(prefix="ser-", dir="/tmp") as name:
        yield Path(name)


def make_bus(folder: Path) -> MessageBus:
    for library in ("ovos_messagebus", "ovos_bus_client"):
        pytest.importorskip(library, reason=f"{library} is not installed (extra dev)")
    from support.ovos_bus import MessageBus

    return MessageBus(folder)


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MessageBus]:
    """A bus that all tests share."""
    with make_bus(tmp_path_factory.mktemp("bus")) as bus:
        yield bus


@pytest.fixture
def own_bus(folder: Path) -> Iterator[MessageBus]:
    """A bus that a test may end."""
    with make_bus(folder) as bus:
        yield bus


@pytest.fixture
def daemon(folder: Path) -> Iterator[ScriptedDaemon]:
    with ScriptedDaemon(folder) as daemon:
        yield daemon


@pytest.fixture
def bridge(folder: Path) -> Iterator[Callable[..., BridgeProcess]]:
    """Starts bridges with the given options, for the scripted daemon."""
    pytest.importorskip("ovos_bus_client", reason="ovos_bus_client is not installed (extra ovos)")
    started: list[BridgeProcess] = []

    def start(*arguments: object, **environment: str) -> BridgeProcess:
        logs = folder / f"bridge-{len(started)}"
        logs.mkdir()
        common = ("--socket", folder / "ser.sock", *arguments)
        started.append(BridgeProcess("ser_bridges.ovos.cli", logs, *common, environment=environment))
        return started[-1]

    yield start
    for process in started:
        process.close()
