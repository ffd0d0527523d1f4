"""Output that nobody reads. The torture scenarios `terminal-closed` and `output-unread` test more of it."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from ser_daemon.service.output_thread import OutputThread
from support.daemon import Daemon, wait_for
from support.speech import SYNTHETIC_SPEECH
from support.torture.output import full

RAW = ("--mic", "stdin", "--rate", "16000")


@pytest.fixture(scope="module")
def speech() -> npt.NDArray[np.int16]:
    samples, _ = soundfile.read(SYNTHETIC_SPEECH, dtype="int16")
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


def test_the_results_of_a_recording_wait_for_a_slow_reader(tmp_path: Path, speech: npt.NDArray[np.int16]) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, np.tile(speech, 15), 16_000)
    ours, theirs = os.pipe()
    fcntl.fcntl(ours, fcntl.F_SETPIPE_SZ, 4096)
    with Daemon("--mic", f"file:{path}", "--fast", "--plain", output=theirs) as daemon:
        os.close(theirs)
        control = daemon.controller()
        # Far more lines than the pipe holds; the daemon has read all of the recording before anybody reads them.
        wait_for(lambda: control.request("status")["data"]["timestamp"] > 15 * 22_000)
        time.sleep(1.0)
        assert daemon.process.poll() is None
        with open(ours) as output:
            lines = output.read().splitlines()
        assert daemon.wait() == 0
    assert not [line for line in lines if "lost" in line]
    assert sum("(final" in line for line in lines) == 6 * 15


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
