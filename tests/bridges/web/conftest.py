"""A scripted daemon, and `ser-web` as a process."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.scripted_daemon import ScriptedDaemon
from support.web_bridge import WebBridge


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a path short enough for a Unix socket."""
    with tempfile.TemporaryDirectory(prefix="ser-", dir="/tmp") as name:
        yield Path(name)


@pytest.fixture
def daemon(folder: Path) -> Iterator[ScriptedDaemon]:
    with ScriptedDaemon(folder) as daemon:
        yield daemon


@pytest.fixture
def web(folder: Path) -> Iterator[Callable[..., WebBridge]]:
    """Starts services with the given options, for the daemon in the folder."""
    pytest.importorskip("aiohttp", reason="aiohttp is not installed (extra web)")
    started: list[WebBridge] = []

    def start(*arguments: object, **environment: str) -> WebBridge:
        logs = folder / f"web-{len(started)}"
        logs.mkdir()
        started.append(WebBridge(logs, folder / "ser.sock", *arguments, environment=environment))
        return started[-1]

    yield start
    for bridge in started:
        bridge.close()
