"""A row about clients that behave badly, all at once: the others must not notice."""

from __future__ import annotations

import contextlib
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ser_daemon.config.audio import AudioConfig
from support.daemon import WAIT, Daemon
from support.torture.measure import RATE, Check, Listener, facts, speech, write

READ_SECONDS = AudioConfig().read_ms / 1000

WARM_UP = 16
"""Crowds after which the heap has the size that it keeps: ten more add less than 0.1 MB."""

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

never_read = [connect() for _ in range(8)]
works = [(flood, connect(), True), (flood, connect(), False), (drip, connect())]
for work, *arguments in works:
    threading.Thread(target=work, args=arguments, daemon=True).start()
crowd = []
for _ in range(1000):
    crowd.append(connect())
print("all there", flush=True)
sys.stdin.readline()
"""
"""A thousand connections, eight that never read, a byte a second, a flood of requests with and without reading."""


@contextlib.contextmanager
def _crowd(path: Path) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-c", CROWD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "all there\n"
        yield
    finally:
        process.kill()
        process.communicate()


def abusive_clients(quick: bool) -> list[Check]:
    """Calm and abuse in turns, with a stream of 10 updates a second."""
    seconds, turns = (4.0, 2) if quick else (15.0, 4)
    warm_up, growth = (1, 4.0) if quick else (WARM_UP, 1.0)
    # The short form has too few updates for the 99th percentile to be more than the worst one.
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
            contextlib.closing(Listener(daemon)) as listener,
        ):
            control = daemon.controller()
            listener.wait("emotion")
            calm, abused = [], []
            for _ in range(warm_up):
                with _crowd(daemon.socket):
                    time.sleep(1.0)
                _until_gone(listener, daemon)
            before = facts(daemon)
            for _ in range(turns):
                calm += _lines(listener, seconds)
                with _crowd(daemon.socket):
                    abused += _lines(listener, seconds)
                _until_gone(listener, daemon)
            after = facts(daemon)
            metrics = control.request("metrics")["data"]
            origin = metrics["origin_boot_seconds"]
            quiet, loud = (np.percentile(_delays(lines, origin), share) for lines in (calm, abused))
            dropped = sum(line["data"].get("dropped", 0) for _, line in listener.lines)
    print(f"  {len(calm)} updates in calm, p{share} {quiet:.1f} ms; {len(abused)} under abuse, p{share} {loud:.1f} ms")
    return [
        Check(f"p{share} of delivery under abuse, to calm", float(loud / quiet), 2.0, "times"),
        Check("events that a good subscriber lost", dropped, 0, ""),
        Check("samples dropped", metrics["samples_dropped"], 0, ""),
        *after.checks_against(before, growth),
    ]


def _lines(listener: Listener, seconds: float) -> list[tuple[float, dict[str, object]]]:
    """The updates of so many seconds."""
    place = listener.mark()
    time.sleep(seconds)
    lines = listener.lines[place:]
    return [(came, line["data"]) for came, line in lines if line["type"] == "emotion" and not line["data"]["final"]]


def _delays(lines: list[tuple[float, dict[str, object]]], origin: float) -> list[float]:
    """Times in ms from when an update's last block was due until its line was here."""
    delays = []
    for came, data in lines:
        due = math.ceil((float(str(data["end"])) - 0.5) / 1000 / READ_SECONDS) * READ_SECONDS
        delays.append((came - origin - due) * 1000)
    return delays


def _until_gone(listener: Listener, daemon: Daemon) -> None:
    """Wait until the daemon has noticed that the crowd is gone."""
    end = time.monotonic() + WAIT
    control = daemon.controller()
    while control.request("metrics")["data"]["clients"] > 5 + 10:
        assert time.monotonic() < end, "the crowd's connections are still there"
        time.sleep(0.1)
    control.close()
    time.sleep(0.2)
