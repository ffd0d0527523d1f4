"""Measure what several microphones cost, with a daemon for each: the template units `ser-daemon@NAME`.

Each daemon plays speech with pauses from a file, in real time. The memory is the sum of all daemons (PSS), in which a
page that they share counts once. `wyoming_streams.py` measures the other way, one process with several recognizers.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import soundfile
from measuring.machine import machine
from measuring.process import Daemon, cpu_seconds, pss_mb, rss_mb
from measuring.runs import LOSSES, MARGIN
from measuring.signals import RATE, sentences


def measure(sound: Path, number: int, seconds: float) -> tuple[float, float, float, float]:
    """Run so many daemons; return their processor time in % of a core, PSS and RSS in MB, and what they have lost."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as name:
        folders = [Path(name) / str(index) for index in range(number)]
        daemons = []
        for folder in folders:
            folder.mkdir()
            daemons.append(Daemon(folder, f"file:{sound}"))
        time.sleep(MARGIN)
        begun, cpu = time.monotonic(), sum(cpu_seconds(daemon.pid) for daemon in daemons)
        time.sleep(seconds)
        spent = sum(cpu_seconds(daemon.pid) for daemon in daemons) - cpu
        percent = 100 * spent / (time.monotonic() - begun)
        pss, rss = (sum(read(daemon.pid) for daemon in daemons) for read in (pss_mb, rss_mb))
        metrics = [daemon.metrics() for daemon in daemons]
        for daemon in daemons:
            daemon.end()
    return percent, pss, rss, sum(each[name] for each in metrics for name in LOSSES)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return exit status 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--microphones", type=int, nargs="+", default=[1, 2, 4, 8], help="daemons at once (1 2 4 8)")
    parser.add_argument("--seconds", type=float, default=15, help="measured time of each run (15)")
    options = parser.parse_args(argv)
    print(machine(), flush=True)
    print("| microphones | processor, % of a core | memory, PSS | of it for each | RSS of each | lost |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    losses = 0.0
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as folder:
        sound = Path(folder) / "speech.wav"
        soundfile.write(sound, sentences(options.seconds + 30), RATE)
        for number in options.microphones:
            percent, pss, rss, lost = measure(sound, number, options.seconds)
            memory = f"{pss:.0f} MB | {pss / number:.1f} MB | {rss / number:.1f} MB"
            print(f"| {number} | {percent:.1f} | {memory} | {lost:g} |", flush=True)
            losses += lost
    return int(losses > 0)


if __name__ == "__main__":
    sys.exit(main())
