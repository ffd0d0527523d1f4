"""Measure what subscribers cost: 1 to 1,000 of them on a real daemon that hears unbroken speech.

All subscribers are read by this one process, which notes when each line was read. So the delays contain the time that
this process needs to read the same line from all others. The processor time is the daemon's alone.
"""

from __future__ import annotations

import argparse
import json
import resource
import selectors
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
from measuring.machine import machine
from measuring.process import Daemon, cpu_seconds
from measuring.runs import LOSSES, MARGIN, block_due_ms
from measuring.signals import RATE, unbroken_speech

FILES_BEYOND = 100
"""Files of a process besides its subscribers."""


@dataclass
class Figures:
    """What one number of subscribers has shown."""

    subscribers: int
    cpu_percent: float = 0.0
    delivered: int = 0
    lost: float = 0.0
    """Samples or events that the daemon has lost, and subscribers that it has disconnected."""
    delays: list[float] = field(default_factory=list)
    """Times in ms from the due time of an update's last block until the line was read, for each subscriber."""


class Readers:
    """Subscribers that are read by one thread."""

    def __init__(self, daemon: Daemon, number: int) -> None:
        self._selector = selectors.DefaultSelector()
        self.lines: list[tuple[float, bytes]] = []
        for _ in range(number):
            connection = daemon.connect()
            connection.setblocking(False)
            self._selector.register(connection, selectors.EVENT_READ)

    def read(self, seconds: float) -> None:
        """Read what comes within so many seconds."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                assert isinstance(key.fileobj, socket.socket)
                if data := key.fileobj.recv(65_536):
                    self.lines.append((time.clock_gettime(time.CLOCK_BOOTTIME), data))
                else:
                    self._selector.unregister(key.fileobj)

    def close(self) -> None:
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()


def measure(sound: Path, number: int, seconds: float) -> Figures:
    """Measure a daemon with so many subscribers."""
    figures = Figures(number)
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as name:
        config = Path(name) / "many.yaml"
        config.write_text(f"socket:\n  max_clients: {number + FILES_BEYOND}\n")
        daemon = Daemon(Path(name), f"file:{sound}", "--config", str(config), subscribe=False)
        readers = Readers(daemon, number)
        readers.read(MARGIN)
        readers.lines.clear()
        begun, cpu = time.monotonic(), cpu_seconds(daemon.pid)
        readers.read(seconds)
        figures.cpu_percent = 100 * (cpu_seconds(daemon.pid) - cpu) / (time.monotonic() - begun)
        metrics = daemon.metrics()
        readers.close()
        daemon.end()
    figures.lost = sum(metrics[name] for name in LOSSES)
    for came, data in readers.lines:
        for line in data.splitlines():
            _add(figures, (came - metrics["origin_boot_seconds"]) * 1000, line)
    return figures


def _add(figures: Figures, came: float, line: bytes) -> None:
    message = json.loads(line)
    figures.delivered += 1
    figures.lost += message["data"].get("dropped", 0)
    if message["type"] == "emotion" and not message["data"]["final"]:
        figures.delays.append(came - block_due_ms(message["data"]["end"]))


def report(runs: Sequence[Figures], seconds: float) -> None:
    """Print a line for each number of subscribers; the first is what others are compared with."""
    print("| subscribers | processor, % of a core | events delivered a second | µs an event | p50 ms | p99 ms | lost |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for run in runs:
        more, cost = run.delivered - runs[0].delivered, run.cpu_percent - runs[0].cpu_percent
        # Few events cost less than two runs differ by.
        each = f"{cost / 100 * seconds / more * 1e6:.0f}" if more > 0 and cost > 0 else "-"
        p50, p99 = np.percentile(run.delays, [50, 99])
        print(
            f"| {run.subscribers:,} | {run.cpu_percent:.2f} | {run.delivered / seconds:,.0f} | {each} "
            f"| {p50:.1f} | {p99:.1f} | {run.lost:g} |"
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return exit status 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--subscribers", type=int, nargs="+", default=[1, 10, 100, 1000], help="(1 10 100 1000)")
    parser.add_argument("--seconds", type=float, default=15, help="measured time of each run (15)")
    options = parser.parse_args(argv)
    wanted = max(options.subscribers) + FILES_BEYOND
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < wanted:
        raise SystemExit(f"subscribers: {wanted} files are needed and {hard} allowed (ulimit -Hn {wanted}, as root)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as folder:
        sound = Path(folder) / "speech.wav"
        # Many connections take a second; the daemon must not reach the end of the file.
        soundfile.write(sound, unbroken_speech(options.seconds + MARGIN + 20), RATE)
        runs = [measure(sound, number, options.seconds) for number in options.subscribers]
    report(runs, options.seconds)
    return int(any(run.lost for run in runs))


if __name__ == "__main__":
    sys.exit(main())
