"""One run of the daemon or of a peer in real time: processor time, memory, and the delays of the daemon's lines."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from measuring.process import Daemon, cpu_seconds, pss_mb, rss_mb
from ser_daemon.config.audio import AudioConfig
from ser_model.config import GateConfig

READ_MS = AudioConfig().read_ms
HANGOVER_MS = GateConfig().hangover_ms
LOSSES = ("overflows", "samples_dropped", "subscribers_cut_off")
"""Metrics that count them."""

MARGIN = 2.0
"""Seconds after the start that are not measured."""


@dataclass
class Run:
    """Figures of one run."""

    cpu_percent: float = 0.0
    pss_mb: float = 0.0
    rss_mb: float = 0.0
    ready_seconds: float = 0.0
    lost: float = 0.0
    """Overflows of the device, samples that the daemon has dropped, and subscribers that it has disconnected."""
    block_delays: list[float] = field(default_factory=list)
    """Times in ms from the due time of an update's last block until its line is readable."""
    sample_delays: list[float] = field(default_factory=list)
    """Times in ms from the due time of an update's last sample until its line is readable."""
    final_delays: list[float] = field(default_factory=list)
    """Times in ms from the end of the hangover until the final is readable."""


def run_daemon(path: Path, seconds: float, before: Sequence[str] = ()) -> Run:
    """Run a daemon on a file for so long, and measure it after its start.

    Args:
        path: of the file.
        seconds: time that is measured.
        before: a program that becomes the daemon, with its options.
    """
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as folder:
        daemon = Daemon(Path(folder), f"file:{path}", before=before)
        lines: list[tuple[float, bytes]] = []
        reader = threading.Thread(target=_collect, args=(daemon.events, lines), daemon=True)
        reader.start()
        run = _measured(daemon.pid, seconds)
        run.ready_seconds = daemon.ready_seconds
        metrics = daemon.metrics()
        origin = metrics["origin_boot_seconds"]
        run.lost = sum(metrics[name] for name in LOSSES)
        # The end of the daemon ends the open utterance: a final without a hangover.
        in_time = len(lines)
        daemon.process.terminate()
        reader.join(10)
        daemon.end()
    for came, line in lines[:in_time]:
        _add_delay(run, (came - origin) * 1000, json.loads(line))
    return run


def run_peer(name: str, path: Path, seconds: float) -> Run:
    """Run a peer on a file for so long, and measure it after its start."""
    folder = Path(__file__).parents[1]
    environ = os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "measuring.peer_loop", name, str(path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=environ,
    )
    try:
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            raise SystemExit(f"bench: {name} did not start; its message is above.")
        return _measured(process.pid, seconds)
    finally:
        process.terminate()
        process.wait(10)


def measure_start(path: Path) -> float:
    """Return the time in s from exec until a subscriber of a daemon on a file can read the first line."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as folder:
        daemon = Daemon(Path(folder), f"file:{path}")
        daemon.end()
        return daemon.ready_seconds


def block_due_ms(end: float) -> float:
    """Return when the block that holds the last sample of an update is complete; both in ms from the first sample."""
    # Ends are rounded to ms. By the 0.5, an end at the edge of two blocks belongs to the first.
    return math.ceil((end - 0.5) / READ_MS) * READ_MS


def _measured(pid: int, seconds: float) -> Run:
    time.sleep(MARGIN)
    begun, cpu = time.monotonic(), cpu_seconds(pid)
    time.sleep(seconds)
    percent = 100 * (cpu_seconds(pid) - cpu) / (time.monotonic() - begun)
    return Run(percent, pss_mb(pid), rss_mb(pid))


def _collect(events: BinaryIO, lines: list[tuple[float, bytes]]) -> None:
    for line in events:
        lines.append((time.clock_gettime(time.CLOCK_BOOTTIME), line))


def _add_delay(run: Run, came: float, message: dict[str, Any]) -> None:
    """Add the delay of a line that came so many ms after the first sample."""
    data = message["data"]
    if message["type"] != "emotion":
        return
    end = data["end"]
    if data["final"]:
        run.final_delays.append(came - end - HANGOVER_MS)
        return
    run.sample_delays.append(came - end)
    run.block_delays.append(came - block_due_ms(end))
