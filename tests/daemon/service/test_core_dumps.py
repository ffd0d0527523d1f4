"""No core dump holds what somebody said."""

from __future__ import annotations

import resource
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from support.daemon import Daemon, wait_for

RAW = ("--mic", "stdin", "--rate", "16000")


def core_limit(pid: int) -> str:
    """The soft limit of a process for the size of a core dump."""
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return next(line for line in lines if line.startswith("Max core file size")).split()[4]


@pytest.fixture
def _unlimited() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    if hard != resource.RLIM_INFINITY:
        pytest.skip("core dumps are limited here already")
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


@pytest.mark.usefixtures("_unlimited")
@pytest.mark.parametrize(("environment", "limit"), [({}, "0"), ({"SER_SERVICE_CORE_DUMPS": "true"}, "unlimited")])
def test_a_crash_leaves_a_core_dump_only_where_the_configuration_allows_it(
    environment: dict[str, str], limit: str
) -> None:
    with Daemon(*RAW, feed=True, environment=environment) as daemon:
        daemon.subscribe()
        daemon.write(np.ones(16_000, np.int16))
        assert core_limit(daemon.process.pid) == limit
        if limit == "0":
            daemon.signal(signal.SIGABRT)
            assert daemon.wait() == -signal.SIGABRT
            assert not list(Path.cwd().glob("core*"))


DUMPABLE = """
import ctypes, sys, threading, time
from ser_daemon.cli.daemon import main
PR_GET_DUMPABLE = 3
def report():
    while True:
        print(ctypes.CDLL(None).prctl(PR_GET_DUMPABLE), flush=True)
        time.sleep(0.2)
threading.Thread(target=report, daemon=True).start()
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(("environment", "dumpable"), [({}, 0), ({"SER_SERVICE_CORE_DUMPS": "true"}, 1)])
def test_the_kernel_counts_the_process_as_not_dumpable(environment: dict[str, str], dumpable: int) -> None:
    program = [sys.executable, "-c", DUMPABLE]
    with Daemon("--service", *RAW, feed=True, program=program, environment=environment) as daemon:
        daemon.subscribe()
        # What it said before it was at work does not count.
        before = len(daemon.stdout.split())
        wait_for(lambda: len(daemon.stdout.split()) > before + 1)
        assert daemon.stdout.split()[-1] == str(dumpable)
