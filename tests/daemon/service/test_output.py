"""Output that nobody reads. The torture scenarios `terminal-closed` and `output-unread` test more of it."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from ser_daemon.cli.demo import bundled_recording
from ser_daemon.service.output_thread import OutputThread
from support.daemon import Daemon
from support.torture.output import full

RAW = ("--mic", "stdin", "--rate", "16000")


@pytest.fixture(scope="module")
def speech() -> npt.NDArray[np.int16]:
    samples, _ = soundfile.read(bundled_recording(), dtype="int16")
    return np.asarray(samples, np.int16)


@pytest.mark.parametrize("arguments", [(), ("--plain",)], ids=["live", "plain"])
@pytest.mark.parametrize("kind", ["terminal", "pipe"])
def test_output_that_nobody_reads_blocks_nothing(
    kind: str, arguments: tuple[str, ...], speech: npt.NDArray[np.int16]
) -> None:
    with (
        full(kind) as output,
        Daemon(*RAW, *arguments, feed=True, output=output, environment={"TERM": "xterm"}) as daemon,
    ):
        client, control = daemon.subscribe(), daemon.controller()
        daemon.write(speech[: 16_000 * 6])
        client.until(lambda event: event["data"].get("final") is True)
        begun = time.monotonic()
        assert control.request("mute")["type"] == "done"
        assert control.request("status")["data"]["muted"] is True
        assert time.monotonic() - begun < 1.0
        begun = time.monotonic()
        daemon.signal(signal.SIGTERM)
        client.until("state:stopping")
        assert daemon.wait(5) == 0
        assert time.monotonic() - begun < 2.5


def test_nohup_keeps_the_daemon_running(tmp_path: Path) -> None:
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        daemon = Daemon(*RAW, feed=True)
    finally:
        signal.signal(signal.SIGHUP, previous)
    with daemon:
        daemon.subscribe()
        daemon.signal(signal.SIGHUP)
        assert daemon.controller().request("ping")["type"] == "pong"


def test_a_full_queue_drops_the_oldest_and_counts_it() -> None:
    shown: list[tuple[int, int]] = []
    gate, entered = threading.Event(), threading.Event()

    def write(item: int, lost: int) -> None:
        entered.set()
        gate.wait(20)
        shown.append((item, lost))

    output = OutputThread("test", write, size=3)
    output.put(0)
    entered.wait(20)
    for item in range(1, 8):
        output.put(item)
    assert not output.close(0.05)
    gate.set()
    assert output.close(20)
    assert shown == [(0, 0), (5, 4), (6, 0), (7, 0)]
    assert output.dropped == 4
