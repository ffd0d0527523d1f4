"""Clients that send without a pause or read nothing, and a process without descriptors."""

from __future__ import annotations

import contextlib
import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from support.daemon import Daemon, Subscriber
from support.hostile import KINDS, hostile_clients
from support.torture.faults import ServiceManager
from support.torture.measure import Check, eventually, now, rss_mb

RAW = ("--mic", "stdin", "--rate", "16000", "--service")

HOSTILE = 250
"""With the calm client and the daemon's other clients, nearly all places of a socket."""

PAUSE = 0.04
"""Seconds between two requests of the calm client."""

SETTLE = 2.0
"""Seconds for the hostile clients to connect and to use up what a new connection may send at once."""


def _round_trips(control: Subscriber, seconds: float) -> list[float]:
    """Ask for the status again and again; return how long each answer took, in ms."""
    times, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        begun = time.perf_counter()
        control.request("status")
        times.append((time.perf_counter() - begun) * 1000)
        time.sleep(PAUSE)
    return times


def hostile_clients_at_once(quick: bool) -> list[Check]:
    """250 hostile clients of ten kinds, and a calm one that asks for the status; calm and attack in turns."""
    seconds, turns = (4.0, 2) if quick else (20.0, 4)
    # The short form has too few answers for the 99th percentile, and runs among other tests.
    share = 50 if quick else 99
    calm: list[float] = []
    attacked: list[float] = []
    with tempfile.TemporaryDirectory(prefix="ser-", dir="/tmp") as folder:
        manager = ServiceManager(Path(folder))
        with (
            contextlib.closing(manager),
            Daemon(*RAW, feed=True, environment=manager.environment) as daemon,
        ):
            control = daemon.controller()
            begun, before = now(), rss_mb(daemon)
            for _ in range(turns):
                calm += _round_trips(control, seconds)
                with hostile_clients(daemon.socket, HOSTILE, KINDS):
                    time.sleep(SETTLE)
                    attacked += _round_trips(control, seconds)
                eventually(lambda: control.request("metrics")["data"]["clients"] <= 2)
            grown, pause = rss_mb(daemon) - before, manager.longest_pause(begun)
            errors = daemon.stderr.count("Traceback")
            logged = len(daemon.stderr.splitlines())
    quiet, loud = float(np.percentile(calm, share)), float(np.percentile(attacked, share))
    medians = float(np.median(calm)), float(np.median(attacked))
    print(
        f"  calm: {len(calm)} answers, p50 {medians[0]:.2f} ms, p{share} {quiet:.2f} ms; "
        f"under attack: {len(attacked)}, p50 {medians[1]:.2f} ms, p{share} {loud:.2f} ms"
    )
    return [
        Check(f"p{share} of a status request under attack, to calm", loud / quiet, 2.0, "times"),
        Check("longest pause between keep-alives", pause, 2.0),
        Check("memory more than before", grown, 40.0, "MB"),
        Check("tracebacks", errors, 0, ""),
        Check("lines logged", logged, 40, ""),
    ]


def answers_unread(quick: bool) -> list[Check]:
    """250 clients that ask for the longest answers with the longest ids, and read nothing."""
    with Daemon(*RAW, feed=True) as daemon:
        control = daemon.controller()
        before, most = rss_mb(daemon), 0.0
        with hostile_clients(daemon.socket, HOSTILE, ("id", "long")):
            end = time.monotonic() + (5 if quick else 60)
            while time.monotonic() < end:
                most = max(most, rss_mb(daemon))
                time.sleep(0.1)
            waiting = control.request("metrics")["data"]["answer_bytes_waiting"]
    return [
        Check("memory more than before", most - before, 40.0, "MB"),
        Check("bytes of answers that wait", waiting / 1e6, 1024 * 1024 * 5 / 1e6, "MB"),
    ]


def out_of_descriptors(quick: bool) -> list[Check]:
    """No descriptor is left while 60 clients connect; then the daemon is muted and unmuted."""
    with Daemon(*RAW, feed=True) as daemon:
        daemon.controller()
        held = len(os.listdir(f"/proc/{daemon.process.pid}/fd"))
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (held + 12, 4096))
        slowest = 0.0
        with hostile_clients(daemon.socket, 60, ("never",)):
            eventually(lambda: "Too many open files" in daemon.stderr)
            for verb in ("mute", "unmute") * 5:
                begun = time.monotonic()
                control = daemon.controller()
                assert control.request(verb)["type"] == "done"
                slowest = max(slowest, time.monotonic() - begun)
                control.close()
            warnings, errors = daemon.stderr.count("Too many open files"), daemon.stderr.count("Traceback")
    return [
        Check("mute and unmute take at most", slowest, 2.0),
        Check("warnings other than one", abs(warnings - 1), 0, ""),
        Check("tracebacks", errors, 0, ""),
    ]
