"""How many instructions each thread of a ser-daemon executes, counted by valgrind.

Valgrind runs a program on a processor of its own: one thread at a time, always with the same features (those of an
AVX2 processor, where the real one has AVX2 or more). So the counts depend neither on other programs nor on the
generation of the processor. They depend on the versions of Python, of the libraries and of valgrind, and on the kind
of processor; `environment` names these. The tool is exp-bbv (valgrind manual, chapter 12), which counts by thread and
is five times as fast as callgrind.
"""

from __future__ import annotations

import importlib.metadata
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from measuring.process import Daemon
from measuring.signals import RATE, Samples

LEVELS = ("avx2", "avx", "ssse3")
"""Features by which valgrind chooses the processor that it shows, the highest first."""

LIBRARIES = ("numpy", "onnxruntime", "soxr", "pyyaml")


@dataclass(frozen=True)
class Counts:
    """Instructions of one run of a daemon, by what its threads do."""

    event_loop: int
    """The main thread: start, sockets, events, end."""
    workers: tuple[int, ...]
    """The other threads, in the order of their start."""

    @property
    def total(self) -> int:
        """Instructions of all threads."""
        return self.event_loop + sum(self.workers)

    @property
    def stages(self) -> dict[str, int]:
        """Instructions by stage, for a run with speech, in which the other threads have next to nothing to do."""
        # The daemon starts the capture thread before the inference thread.
        capture, inference = sorted(sorted(range(len(self.workers)), key=self.workers.__getitem__)[-2:])
        return {
            "event loop": self.event_loop,
            "capture": self.workers[capture],
            "inference": self.workers[inference],
        }


def unavailable() -> str:
    """Return why instructions cannot be counted; empty if they can be."""
    if shutil.which("valgrind") is None:
        return "valgrind is not installed: sudo apt-get install valgrind"
    return ""


def environment() -> dict[str, str]:
    """Return what counts depend on besides the program itself."""
    valgrind = subprocess.run(["valgrind", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    flags = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    level = next((level for level in LEVELS if flags and f" {level} " in f"{flags[1]} "), "none of these")
    return {
        "processor": f"{platform.machine()}, {level}",
        "valgrind": valgrind,
        "python": " ".join(sys.version.split()),
        "libc": " ".join(platform.libc_ver()),
    } | {name: importlib.metadata.version(name) for name in LIBRARIES}


def count(samples: Samples, *options: str) -> Counts:
    """Return the instructions of a daemon with one subscriber, from its start to the end of the samples.

    Raises:
        SystemExit: the daemon did not start, or not run to its end.
    """
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as name:
        folder, counted = Path(name), Path(name) / "counts"
        tool = ("--tool=exp-bbv", "--instr-count-only=yes", "--bb-out-file=/dev/null", "--pc-out-file=/dev/null")
        before = ("valgrind", "--quiet", *tool, f"--log-file={counted}")
        # Without a fixed seed, sets of strings have another order in each process.
        stdin = ("--rate", str(RATE))
        seed = {"PYTHONHASHSEED": "0"}
        daemon = Daemon(folder, "stdin", *stdin, *options, before=before, feed=True, environment=seed)
        assert daemon.process.stdin is not None
        daemon.process.stdin.write(samples.tobytes())
        daemon.process.stdin.close()
        for _ in daemon.events:
            pass
        daemon.process.wait(60)
        log = daemon.log
        daemon.end()
        return _counts(counted.read_text(), log)


def _counts(text: str, log: str) -> Counts:
    threads = [int(number) for number in re.findall(r"Total instructions: (\d+)", text)]
    if len(threads) < 3:
        raise SystemExit(f"valgrind has counted {len(threads)} threads, expected 3 or more. The daemon's log:\n{log}")
    return Counts(threads[0], tuple(threads[1:]))
