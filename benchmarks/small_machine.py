"""Run the daemon with a tenth of a core and 96 MB, as on a small or busy machine, and measure its delays.

It makes a control group, which needs root (cgroups(7)). Other programs may have read the libraries' pages already;
those are not counted by the group, so the resident memory is printed as well.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from measuring.machine import machine
from measuring.runs import run_daemon
from measuring.signals import RATE, sentences, unbroken_speech

ROOT = Path("/sys/fs/cgroup")
PERIOD_US = 100_000
"""Time over which the share of the core is kept: that of `CPUQuota=` (systemd.resource-control(5))."""


class Group:
    """A control group with a share of a core and a limit of memory, of version 2 or 1."""

    def __init__(self, share: float, megabytes: float) -> None:
        quota, limit = round(share * PERIOD_US), round(megabytes * 1e6)
        name = f"ser-bench-{os.getpid()}"
        unified = (ROOT / "cgroup.controllers").exists()
        self._cpu, self._memory = (ROOT / ("" if unified else controller) / name for controller in ("cpu", "memory"))
        self.folders = sorted({self._cpu, self._memory})
        try:
            for folder in self.folders:
                folder.mkdir()
            if unified:
                (self._cpu / "cpu.max").write_text(f"{quota} {PERIOD_US}")
                (self._memory / "memory.max").write_text(str(limit))
                (self._memory / "memory.swap.max").write_text("0")
            else:
                (self._cpu / "cpu.cfs_period_us").write_text(str(PERIOD_US))
                (self._cpu / "cpu.cfs_quota_us").write_text(str(quota))
                (self._memory / "memory.limit_in_bytes").write_text(str(limit))
        except OSError as error:
            self.remove()
            raise SystemExit(f"small_machine: no control group can be made ({error}); it needs root") from error
        self._peak = self._memory / ("memory.peak" if unified else "memory.max_usage_in_bytes")

    @property
    def before(self) -> tuple[str, ...]:
        """The program that runs another one in the group."""
        enter = "".join(f"echo $$ >{folder}/cgroup.procs; " for folder in self.folders)
        return ("sh", "-c", f'{enter}exec "$@"', "sh")

    @property
    def peak_mb(self) -> float:
        """The most memory that the group has used, pages of files included."""
        return int(self._peak.read_text()) / 1e6 if self._peak.exists() else float("nan")

    @property
    def throttled(self) -> int:
        """How often the group has used up its share of a period."""
        fields = dict(line.split() for line in (self._cpu / "cpu.stat").read_text().splitlines())
        return int(fields["nr_throttled"])

    def remove(self) -> None:
        for folder in self.folders:
            if folder.exists():
                folder.rmdir()


def measure(name: str, sound: Path, options: argparse.Namespace) -> bool:
    """Run the daemon on a file and print its figures; return whether nothing was lost."""
    group = Group(options.share / 100, options.megabytes)
    try:
        run = run_daemon(sound, options.seconds, before=group.before)
        throttled = group.throttled
        peak = group.peak_mb
    finally:
        # The kernel removes a process from its group shortly after its end.
        time.sleep(0.1)
        group.remove()
    print(f"{name}: {run.cpu_percent:.2f} % of a core, throttled {throttled} times, start included")
    print(f"  ready after {run.ready_seconds:.1f} s; {run.lost:g} samples, events or reads lost")
    print(f"  memory: {run.rss_mb:.1f} MB resident, {peak:.1f} MB counted by the group at most")
    for what, delays in (("update after its block", run.block_delays), ("final after the hangover", run.final_delays)):
        if delays:
            p50, p99 = np.percentile(delays, [50, 99])
            print(f"  {what}: {len(delays)}, p50 {p50:.1f} ms, p99 {p99:.1f} ms", flush=True)
    return run.lost == 0


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return exit status 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--share", type=float, default=10, help="share of a core in percent (10)")
    parser.add_argument("--megabytes", type=float, default=96, help="limit of memory in MB (96)")
    parser.add_argument("--seconds", type=float, default=60, help="measured time of each run (60)")
    options = parser.parse_args(argv)
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as folder:
        sounds = {"unbroken speech": unbroken_speech, "sentences with pauses": sentences}
        kept = []
        for name, make in sounds.items():
            sound = Path(folder) / "sound.wav"
            soundfile.write(sound, make(options.seconds + 60), RATE)
            kept.append(measure(name, sound, options))
    return int(not all(kept))


if __name__ == "__main__":
    sys.exit(main())
