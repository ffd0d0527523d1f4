"""Bridges cost the daemon nothing: it imports none of them, nor their libraries."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIBRARIES = {
    *("ser_bridges", "aiomqtt", "paho", "wyoming", "zeroconf", "pipecat", "livekit", "ovos_bus_client", "websocket"),
    *("websockets", "aiohttp"),
}


@pytest.mark.parametrize("module", ["ser_daemon.cli.daemon", "ser_daemon.cli.run", "ser_daemon.cli.ctl"])
def test_the_daemon_imports_no_bridge_and_no_library_of_one(module: str) -> None:
    code = f"import sys, {module}; print(*(name.partition('.')[0] for name in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "ser_daemon" in loaded
    assert set(loaded) & LIBRARIES == set()
