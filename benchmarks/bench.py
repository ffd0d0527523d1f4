"""Measure the daemon's processor time in speech and in silence, memory, delay, and start-up time.

A real ser-daemon reads a file in real time, with one subscriber. Processor time and memory come from /proc, delays
from the subscriber's socket.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import os
import platform
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile

from ser_daemon.config.audio import AudioConfig

SPEECH = Path(__file__).parents[1] / "tests/data/synthetic-speech.flac"
RATE = 16_000
READ_MS = AudioConfig().read_ms
STARTS = 5
"""Number of starts; the median is reported."""

START_LIMIT = 30.0
MARGIN = 2.0
"""Seconds after the start that are not measured."""

FRAME = 320
PAUSE_DB = 35.0
"""A frame is a pause if its level is this far below the loudest frame."""

KEPT_FRAMES = 10
"""Frames of a pause that are kept on either side of speech."""

LIBRARIES = ("ser-daemon", "numpy", "onnxruntime", "sounddevice", "soxr")

Samples = npt.NDArray[np.int16]


@dataclass
class Run:
    """Figures of one run of the daemon."""

    cpu_percent: float = 0.0
    rss_mb: float = 0.0
    block_delays: list[float] = field(default_factory=list)
    """Times in ms from the due time of an update's last block until its line is readable."""
    sample_delays: list[float] = field(default_factory=list)
    """Times in ms from the due time of an update's last sample until its line is readable."""


class Daemon:
    """A ser-daemon process with its own sockets, settings and state."""

    def __init__(self, folder: Path, device: str) -> None:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("SER_")}
        environ |= {"XDG_STATE_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
        self.path = folder / "ser.sock"
        self._log = (folder / "log").open("w+")
        begun = time.monotonic()
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "ser_daemon.cli.daemon",
                "--service",
                "--mic",
                device,
                "--socket",
                str(self.path),
            ],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
        )
        connection = self._connect(begun + START_LIMIT)
        self.events = connection.makefile("rb")
        self.events.readline()
        # No time limit for the events: there are none in silence.
        connection.settimeout(None)
        self.ready_seconds = time.monotonic() - begun

    def _connect(self, deadline: float) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(START_LIMIT)
        while True:
            try:
                connection.connect(str(self.path))
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self._log.seek(0)
                    raise SystemExit(f"bench: ser-daemon did not start: {self._log.read().strip()}") from None
                time.sleep(0.001)
            else:
                return connection

    def metrics(self) -> dict[str, float]:
        """Return the daemon's metrics."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(str(self.path))
            connection.sendall(b'{"type":"metrics"}\n')
            with connection.makefile("rb") as lines:
                for line in lines:
                    message = json.loads(line)
                    if message["type"] == "metrics":
                        return dict(message["data"])
        raise SystemExit("bench: ser-daemon does not answer")

    def cpu_seconds(self) -> float:
        """Return the user and system time of all threads in seconds (proc(5), stat, fields 14 and 15)."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mb(self) -> float:
        """Return the resident memory in MB (proc(5), status)."""
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())
        return int(found[1]) / 1024 if found else 0.0

    def end(self) -> None:
        """Terminate the process and wait for its end."""
        self.events.close()
        self.process.terminate()
        self.process.wait(10)
        self._log.close()


def measure(path: Path, seconds: float) -> Run:
    """Run a daemon on a file for so long, and measure it after its start."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as folder:
        daemon = Daemon(Path(folder), f"file:{path}")
        lines: list[tuple[float, bytes]] = []
        reader = threading.Thread(target=_collect, args=(daemon.events, lines), daemon=True)
        reader.start()
        time.sleep(MARGIN)
        run = Run()
        begun, cpu = time.monotonic(), daemon.cpu_seconds()
        time.sleep(seconds)
        run.cpu_percent = 100 * (daemon.cpu_seconds() - cpu) / (time.monotonic() - begun)
        run.rss_mb = daemon.rss_mb()
        origin = daemon.metrics()["origin_boot_seconds"]
        daemon.process.terminate()
        reader.join(10)
        daemon.end()
    for came, line in lines:
        _add_delay(run, came, json.loads(line), origin)
    return run


def _collect(events: BinaryIO, lines: list[tuple[float, bytes]]) -> None:
    for line in events:
        lines.append((time.clock_gettime(time.CLOCK_BOOTTIME), line))


def _add_delay(run: Run, came: float, message: dict[str, Any], origin: float) -> None:
    data = message["data"]
    if message["type"] != "emotion" or data["final"]:
        return
    end = data["end"]
    elapsed = (came - origin) * 1000
    run.sample_delays.append(elapsed - end)
    # Ends are rounded to ms. By the 0.5, an end at the edge of two blocks belongs to the first.
    run.block_delays.append(elapsed - math.ceil((end - 0.5) / READ_MS) * READ_MS)


def measure_starts() -> list[float]:
    """Return the times in s from exec until a subscriber can read the first line."""
    seconds = []
    for _ in range(STARTS):
        with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as folder:
            path = Path(folder) / "silence.wav"
            soundfile.write(path, room_tone(30), RATE)
            daemon = Daemon(Path(folder), f"file:{path}")
            seconds.append(daemon.ready_seconds)
            daemon.end()
    return seconds


def room_tone(seconds: float) -> Samples:
    """Return the noise of a quiet room at -60 dBFS."""
    generator = np.random.default_rng(1)
    return np.asarray(generator.normal(0, 32.8, int(seconds * RATE)).round(), np.int16)


def unbroken_speech(path: Path, seconds: float) -> Samples:
    """Return a recording without its pauses, repeated up to the length."""
    samples, rate = soundfile.read(path, dtype="int16", always_2d=True)
    if rate != RATE:
        raise SystemExit(f"bench: {path} has {rate} Hz; expected {RATE} (sox IN -r {RATE} OUT)")
    mono = samples[:, 0]
    frames = mono[: len(mono) // FRAME * FRAME].reshape(-1, FRAME)
    levels = 20 * np.log10(np.sqrt(np.mean((frames / 32768.0) ** 2, axis=1)) + 1e-9)
    loud = levels > levels.max() - PAUSE_DB
    # Short pauses are kept, as in natural speech.
    near = np.convolve(loud, np.ones(2 * KEPT_FRAMES + 1), mode="same") > 0
    speech = frames[near].reshape(-1)
    return np.asarray(np.tile(speech, math.ceil(seconds * RATE / len(speech)))[: int(seconds * RATE)], np.int16)


def machine() -> str:
    """Describe the machine and the versions."""
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    processor = found[1] if found else platform.machine()
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)
    return (
        f"{processor}, {os.cpu_count()} cores, load {load}\n"
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, {versions}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return exit status 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--file", type=Path, help="speech to play, 16 kHz (default: synthetic speech)")
    parser.add_argument("--seconds", type=float, default=30, help="length of each run (30)")
    options = parser.parse_args(argv)
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as folder:
        speech, silence = Path(folder) / "speech.wav", Path(folder) / "silence.wav"
        length = options.seconds + 2 * MARGIN + 10
        soundfile.write(speech, unbroken_speech(options.file or SPEECH, length), RATE)
        soundfile.write(silence, room_tone(length), RATE)
        starts = measure_starts()
        in_speech = measure(speech, options.seconds)
        in_silence = measure(silence, options.seconds)
    if not in_speech.block_delays:
        raise SystemExit("bench: nobody was heard to speak; give a clearer recording with --file")
    blocks, samples = np.array(in_speech.block_delays), np.array(in_speech.sample_delays)
    rows = [
        ("processor, unbroken speech", in_speech.cpu_percent, "% of a core", 2.0),
        ("processor, silence", in_silence.cpu_percent, "% of a core", 1.0),
        ("memory", in_speech.rss_mb, "MB", 110.0),
        ("update readable after its block, p50", float(np.percentile(blocks, 50)), "ms", None),
        ("update readable after its block, p99", float(np.percentile(blocks, 99)), "ms", 10.0),
        (f"  with the wait for the {READ_MS} ms block, p50", float(np.percentile(samples, 50)), "ms", None),
        (f"  with the wait for the {READ_MS} ms block, p99", float(np.percentile(samples, 99)), "ms", None),
        (f"exec to ready, median of {STARTS}", statistics.median(starts), "s", 1.0),
    ]
    print(f"{options.seconds:g} s each of speech and silence, {len(blocks)} updates\n")
    for name, value, unit, target in rows:
        verdict = "" if target is None else f"  target {target:g}: {'met' if value <= target else 'MISSED'}"
        print(f"{name:<45} {value:>8.2f} {unit}{verdict}")
    return int(any(target is not None and value > target for _, value, _, target in rows))


if __name__ == "__main__":
    sys.exit(main())
