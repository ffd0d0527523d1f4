"""Figures of a process from /proc, and a ser-daemon process with its own folder."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

START_LIMIT = 400.0
"""Seconds; a daemon that runs below valgrind on a very busy machine takes a third of it."""


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of all threads of a process, in seconds, to the nanosecond.

    The number is that of the processor clock of a process (clock_getcpuclockid(3), the kernel's
    include/linux/posix-timers_types.h). proc(5) has the same in steps of 10 ms.
    """
    return time.clock_gettime((~pid << 3) | 2)


def pss_mb(pid: int) -> float:
    """Return the memory of a process in MB, shared pages counted in equal parts (proc(5), smaps_rollup, Pss)."""
    return _kilobytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss") / 1000


def rss_mb(pid: int) -> float:
    """Return the resident memory of a process in MB (proc(5), status, VmRSS)."""
    return _kilobytes(Path(f"/proc/{pid}/status"), "VmRSS") / 1000


def anonymous_mb(pid: int) -> float:
    """Return the memory of a process in MB that is in no file, which no other process shares (smaps_rollup)."""
    return _kilobytes(Path(f"/proc/{pid}/smaps_rollup"), "Anonymous") / 1000


def _kilobytes(path: Path, name: str) -> float:
    """Return a field of a file of proc(5), which says kB and means 1024 bytes, in 1000 bytes."""
    found = re.search(rf"^{name}:\s+(\d+) kB", path.read_text(), re.MULTILINE)
    if found is None:
        raise SystemExit(f"{path} has no field {name}.")
    return int(found[1]) * 1.024


def wakeups(pid: int) -> int:
    """Return how often the threads of a process have waited so far (proc(5), voluntary_ctxt_switches)."""
    texts = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/status")]
    return sum(int(number) for text in texts for number in re.findall(r"\nvoluntary_ctxt_switches:\s+(\d+)", text))


class Daemon:
    """A ser-daemon process with its own sockets, settings and state, and one subscriber.

    Args:
        folder: for its sockets, settings, state and log.
        device: the value of `--mic`.
        options: further options of the command line.
        before: a program, with its options, that runs the daemon.
        feed: connect its stdin to a pipe.
        environment: further variables.
        subscribe: connect a subscriber, and read its first line.
    """

    def __init__(
        self,
        folder: Path,
        device: str,
        *options: str,
        before: Sequence[str] = (),
        feed: bool = False,
        environment: dict[str, str] | None = None,
        subscribe: bool = True,
    ) -> None:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("SER_")}
        environ |= {"XDG_STATE_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)} | (environment or {})
        self.path = folder / "ser.sock"
        self._log = (folder / "log").open("w+")
        program = [*before, sys.executable, "-m", "ser_daemon.cli.daemon", "--service"]
        begun = time.monotonic()
        self.process = subprocess.Popen(
            [*program, "--mic", device, "--socket", str(self.path), *options],
            env=environ,
            stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
        )
        connection = self.connect()
        self.events = connection.makefile("rb")
        if subscribe:
            self.events.readline()
        # No time limit for the events: there are none in silence.
        connection.settimeout(None)
        self.ready_seconds = time.monotonic() - begun

    @property
    def pid(self) -> int:
        """The number of the process; of the program before it, if there is one."""
        return self.process.pid

    @property
    def log(self) -> str:
        """What it has logged so far."""
        self._log.seek(0)
        return self._log.read().strip()

    def connect(self) -> socket.socket:
        """Connect to its event socket; wait for the socket, and for a place among those that wait for the daemon."""
        deadline = time.monotonic() + START_LIMIT
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(START_LIMIT)
        while True:
            try:
                connection.connect(str(self.path))
            except OSError as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"ser-daemon cannot be reached ({error}): {self.log}") from None
                time.sleep(0.001)
            else:
                return connection

    def metrics(self) -> dict[str, float]:
        """Return the daemon's metrics."""
        with self.connect() as connection:
            connection.sendall(b'{"type":"metrics"}\n')
            with connection.makefile("rb") as lines:
                for line in lines:
                    message: dict[str, Any] = json.loads(line)
                    if message["type"] == "metrics":
                        return dict(message["data"])
        raise SystemExit("ser-daemon does not answer the request `metrics`.")

    def end(self) -> None:
        """Terminate the process and wait for its end."""
        self.process.terminate()
        self.process.wait(10)
        self.events.close()
        self._log.close()
