"""The device monitor detects devices without PortAudio; with a real sound server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from ser_daemon.sources.device_monitor import DeviceMonitor
from support.pulse import PulseAudio, virtual_microphone

POLL = """
import sys
from ser_daemon.sources.device_monitor import DeviceMonitor
monitor = DeviceMonitor()
for line in sys.stdin:
    print(monitor.poll(line.strip()), flush=True)
"""


@pytest.fixture
def pulse() -> Iterator[PulseAudio]:
    with virtual_microphone() as server:
        yield server


def test_a_new_device_of_the_sound_server_is_reported_once(pulse: PulseAudio) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", POLL],
        env=pulse.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def poll() -> bool:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("default\n")
        process.stdin.flush()
        return process.stdout.readline() == "True\n"

    poll()
    pulse.unload_sink("mic")
    assert [poll(), poll()] == [False, False]
    pulse.load_sink("mic")
    assert [poll(), poll()] == [True, False]
    pulse.stop()
    assert not poll()
    process.stdin.close()
    assert process.wait(20) == 0


def test_an_unknown_device_is_never_reported() -> None:
    monitor = DeviceMonitor()
    monitor.poll("no such microphone")
    assert not monitor.poll("no such microphone")
    assert not monitor.poll("")
