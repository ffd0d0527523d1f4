"""Abusive clients, all at once, must not affect the others."""

from __future__ import annotations

import contextlib
import math
import tempfile
import time
from pathlib import Path

import numpy as np

from ser_daemon.config.audio import AudioConfig
from support.daemon import WAIT, Daemon
from support.hostile import crowd
from support.torture.measure import RATE, Check, TimedSubscriber, facts, speech, write

READ_SECONDS = AudioConfig().read_ms / 1000

WARM_UP = 16
"""Crowds after which the heap has its final size: ten more add less than 0.1 MB."""

CROWD = """
import contextlib, json, resource, socket, sys, threading, time

resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
path = sys.argv[1]

def connect():
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    return s

def flood(s, read):
    s.settimeout(0.5)
    lines = json.dumps({"type": "status", "id": "x"}).encode() + b"\\n"
    while True:
        with contextlib.suppress(TimeoutError):
            s.sendall(lines * 16)
            if read:
                s.recv(1 << 16)

def drip(s):
    for byte in b'{"type":"status","data":{}}' * 100:
        s.send(bytes([byte]))
        time.sleep(1)

def again(work, *arguments):
    # The thousand connections take the places of those that are there.
    while True:
        with contextlib.suppress(OSError):
            work(connect(), *arguments)

never_read = [connect() for _ in range(8)]
for arguments in ((flood, True), (flood, False), (drip,)):
    threading.Thread(target=again, args=arguments, daemon=True).start()
crowd = []
for _ in range(1000):
    crowd.append(connect())
print("all there", flush=True)
sys.stdin.readline()
"""
"""Opens 1000 connections, eight that never read, one that sends a byte per second, and two that flood requests."""


def abusive_clients(quick: bool) -> list[Check]:
    """Normal and abusive clients in turns, with a stream of 10 updates per second."""
    seconds, turns = (4.0, 2) if quick else (15.0, 4)
    warm_up, growth = (1, 4.0) if quick else (WARM_UP, 1.0)
    # In the short form, the 99th percentile would be the worst update.
    share = 90 if quick else 99
    with tempfile.TemporaryDirectory(prefix="ser-", dir="/tmp") as name:
        folder = Path(name)
        spoken = np.tile(
            speech()[14_000:44_000], 10 + math.ceil((2 * turns * (seconds + 2) + warm_up * 4) * RATE / 30_000)
        )
        path = write(folder, spoken)
        environment = {"SER_DECISION_UPDATE_MS": "100"}
        with (
            Daemon("--service", "--mic", f"file:{path}", environment=environment) as daemon,
            contextlib.closing(TimedSubscriber(daemon)) as subscriber,
        ):
            control = daemon.controller()
            subscriber.wait("emotion")
            calm, abused = [], []
            for _ in range(warm_up):
                with crowd(CROWD, str(daemon.socket)):
                    time.sleep(1.0)
                _until_gone(subscriber, daemon)
            before = facts(daemon)
            for _ in range(turns):
                calm += _lines(subscriber, seconds)
                with crowd(CROWD, str(daemon.socket)):
                    abused += _lines(subscriber, seconds)
                _until_gone(subscriber, daemon)
            after = facts(daemon)
            metrics = control.request("metrics")["data"]
            origin = metrics["origin_boot_seconds"]
            quiet, loud = (np.percentile(_delays(lines, origin), share) for lines in (calm, abused))
            dropped = sum(line["data"].get("dropped", 0) for _, line in subscriber.lines)
    print(f"  {len(calm)} updates in calm, p{share} {quiet:.1f} ms; {len(abused)} under abuse, p{share} {loud:.1f} ms")
    return [
        Check(f"p{share} of delivery under abuse, to calm", float(loud / quiet), 2.0, "times"),
        Check("events that a good subscriber lost", dropped, 0, ""),
        Check("samples dropped", metrics["samples_dropped"], 0, ""),
        *after.checks_against(before, growth),
    ]


def _lines(subscriber: TimedSubscriber, seconds: float) -> list[tuple[float, dict[str, object]]]:
    """Return the updates of so many seconds."""
    place = subscriber.mark()
    time.sleep(seconds)
    lines = subscriber.lines[place:]
    return [(came, line["data"]) for came, line in lines if line["type"] == "emotion" and not line["data"]["final"]]


def _delays(lines: list[tuple[float, dict[str, object]]], origin: float) -> list[float]:
    """Return the times in ms from the due time of an update's last block to the arrival of its line."""
    delays = []
    for came, data in lines:
        due = math.ceil((float(str(data["end"])) - 0.5) / 1000 / READ_SECONDS) * READ_SECONDS
        delays.append((came - origin - due) * 1000)
    return delays


def _until_gone(subscriber: TimedSubscriber, daemon: Daemon) -> None:
    """Wait until the daemon has closed the crowd's connections."""
    end = time.monotonic() + WAIT
    control = daemon.controller()
    while control.request("metrics")["data"]["clients"] > 5 + 10:
        assert time.monotonic() < end, "the crowd's connections are still there"
        time.sleep(0.1)
    control.close()
    time.sleep(0.2)
