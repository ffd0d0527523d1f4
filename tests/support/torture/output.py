"""Terminals that are closed, output that nobody reads, and reloads that hang."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from support.daemon import Daemon, Subscriber
from support.torture.faults import ServiceManager
from support.torture.measure import LIMIT, Check, eventually, now

RAW = ("--mic", "stdin", "--rate", "16000")
DRAWING = {"TERM": "xterm"}

HANGING = """
import sys, threading
from pathlib import Path
from ser_daemon.cli.daemon import main
from ser_daemon.service import engine

prepare = engine.Engine.prepare

def hang_once(self, config):
    if Path(sys.argv[1]).exists():
        Path(sys.argv[1]).unlink()
        threading.Event().wait()
    return prepare(self, config)

engine.Engine.prepare = hang_once
sys.exit(main(sys.argv[2:]))
"""
"""A daemon whose next reload never ends once a certain file exists."""


def round_trip(control: Subscriber, kind: str) -> float:
    """Seconds from a request to its answer; infinite if it is refused."""
    begun = time.monotonic()
    answer = control.request(kind)
    return float("inf") if answer["type"] == "error" else time.monotonic() - begun


def seconds_to_end(daemon: Daemon) -> float:
    """Wait until the process ends; return the seconds that it took."""
    begun = time.monotonic()
    daemon.wait(LIMIT)
    return time.monotonic() - begun


def terminal_closed(quick: bool) -> list[Check]:
    """The terminal window is closed: with the live view, with plain lines, and with output to a file."""
    checks = []
    for name, arguments in (("live view", ()), ("plain lines", ("--plain",))):
        ours, theirs = pty.openpty()
        with Daemon(*RAW, *arguments, feed=True, output=theirs, environment=DRAWING) as daemon:
            os.close(theirs)
            daemon.subscribe()
            os.close(ours)
            checks.append(Check(f"{name}: capture goes on for", seconds_to_end(daemon), 2.0))
    with Daemon(*RAW, feed=True) as daemon:
        daemon.subscribe()
        daemon.signal(signal.SIGHUP)
        checks.append(Check("output to a file: capture goes on for", seconds_to_end(daemon), 2.0))
    return checks


@contextlib.contextmanager
def full(kind: str) -> Iterator[int]:
    """A terminal or pipe that nobody reads, filled to the brim."""
    ours, theirs = pty.openpty() if kind == "terminal" else os.pipe()
    os.set_blocking(theirs, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(theirs, b" " * 1024)
    os.set_blocking(theirs, True)
    try:
        yield theirs
    finally:
        os.close(theirs)
        os.close(ours)


def output_unread(quick: bool) -> list[Check]:
    """Nobody reads the terminal or pipe that the daemon writes to."""
    checks = []
    for kind, arguments in (("terminal", ()), ("pipe", ("--plain",))):
        with full(kind) as output, Daemon(*RAW, *arguments, feed=True, output=output, environment=DRAWING) as daemon:
            control = daemon.controller()
            trips = [round_trip(control, "status") for _ in range(20 if quick else 200)]
            checks.append(Check(f"{kind}: longest round trip of `status`", max(trips), 1.0))
            checks.append(Check(f"{kind}: round trip of `mute`", round_trip(control, "mute"), 1.0))
            daemon.signal(signal.SIGTERM)
            checks.append(Check(f"{kind}: SIGTERM to end", seconds_to_end(daemon), 2.5))
    return checks


def reload_hangs(quick: bool) -> list[Check]:
    """A reload never ends: the socket, the watchdog, the next reload and SIGTERM are served."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ser-", dir="/tmp")))
        trigger = folder / "hang"
        manager = ServiceManager(folder)
        stack.callback(manager.close)
        program = [sys.executable, "-c", HANGING, str(trigger)]
        daemon = stack.enter_context(Daemon(*RAW, feed=True, program=program, environment=manager.environment))
        control, other = daemon.controller(), daemon.controller()
        trigger.touch()
        begun, started = time.monotonic(), now()
        control.send("reload")
        eventually(lambda: not trigger.exists())
        meanwhile = max(round_trip(other, "status") for _ in range(20))
        refused = control.answer()["type"] == "error"
        given_up = time.monotonic() - begun
        again = round_trip(control, "reload")
        pause = manager.longest_pause(started)
        trigger.touch()
        control.send("reload")
        eventually(lambda: not trigger.exists())
        daemon.signal(signal.SIGTERM)
        return [
            Check("longest round trip of `status` meanwhile", meanwhile, 0.5),
            Check("given up after", given_up, 9.0),
            Check("not reported", not refused, 0, ""),
            Check("longest pause of the watchdog keep-alives", pause, 2.0),
            Check("the next reload takes", again, 2.0),
            Check("SIGTERM to end during another one", seconds_to_end(daemon), 2.0),
        ]
