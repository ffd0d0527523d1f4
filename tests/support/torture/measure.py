"""What the torture rows share: checks, a subscriber that notes when lines came, and looks into a process."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from ser_daemon.cli.demo import bundled_recording
from support.daemon import Daemon, Message, Subscriber, fits
from support.pulse import PulseAudio, missing

RATE = 16_000
HOP = 683 / RATE
"""Seconds from one feature frame to the next."""

LIMIT = 30.0
"""Seconds after which a row gives up waiting; far above every bound, so that a miss shows by how much."""


class Unavailable(Exception):  # noqa: N818
    """The row needs something that this machine does not have; the text says what."""


@dataclass(frozen=True, slots=True)
class Check:
    """One measured figure and the bound that it must not exceed."""

    what: str
    measured: float
    bound: float
    unit: str = "s"

    @property
    def ok(self) -> bool:
        """The bound holds."""
        return self.measured <= self.bound

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.what}: {self.measured:.3g}{unit} (bound {self.bound:g}{unit})"


class Listener(Subscriber):
    """A subscriber whose lines are read at once, with the time at which each came."""

    def __init__(self, daemon: Daemon) -> None:
        daemon.controller()
        super().__init__(daemon.socket)
        # Silence is no fault: `wait` has its own limit.
        self._socket.settimeout(None)
        self.lines: list[tuple[float, Message]] = []
        """(boot-time clock in seconds, line), in order."""
        self._changed = threading.Condition()
        self._ended = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            while True:
                message = self.next()
                with self._changed:
                    self.lines.append((now(), message))
                    self._changed.notify_all()
        except (AssertionError, OSError, ValueError):
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def close(self) -> None:
        """Hang up, also while the other thread reads."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        super().close()

    def mark(self) -> int:
        """A place in the stream, for `wait`."""
        return len(self.lines)

    def wait(self, wanted: Callable[[Message], bool] | str, since: int = 0, seconds: float = LIMIT) -> float:
        """When the first line from the place `since` on came that fits; see `support.daemon.fits`."""
        return self.find(wanted, since, seconds)[0]

    def find(
        self, wanted: Callable[[Message], bool] | str, since: int = 0, seconds: float = LIMIT
    ) -> tuple[float, Message]:
        """The same, with the line."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                for came, message in self.lines[since:]:
                    if fits(message, wanted):
                        return came, message
                since = max(since, len(self.lines))
                left = deadline - time.monotonic()
                missed = f"no {wanted} within {seconds} s; last: {self.lines[-3:]}"
                assert left > 0, missed
                assert not self._ended, missed
                self._changed.wait(left)

    def all(self, seconds: float = LIMIT) -> list[Message]:
        """All lines, once the stream has ended."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._ended, seconds), f"no end within {seconds} s"
        return [message for _, message in self.lines]

    def listening(self) -> None:
        """Wait until the microphone is heard."""
        if self.hello["data"]["state"] != "listening":
            self.wait("state:listening")

    def kinds(self, since: int = 0) -> list[str]:
        """Types of the lines, states as `state:NAME`, finals as `final`."""
        names = []
        for _, message in self.lines[since:]:
            data = message["data"]
            if message["type"] == "audio-state":
                names.append(f"state:{data['state']}")
            else:
                names.append("final" if data.get("final") else message["type"])
        return names


@dataclass(frozen=True, slots=True)
class Facts:
    """What a process holds (proc(5))."""

    threads: int
    descriptors: int
    rss_mb: float

    def checks_against(self, before: Facts, growth_mb: float) -> list[Check]:
        """Threads and descriptors as many as before, memory not much more."""
        return [
            Check("threads more than before", abs(self.threads - before.threads), 0, ""),
            Check("descriptors more than before", abs(self.descriptors - before.descriptors), 0, ""),
            Check("memory more than before", self.rss_mb - before.rss_mb, growth_mb, "MB"),
        ]


def facts(daemon: Daemon) -> Facts:
    """Look into the daemon's process."""
    folder = Path(f"/proc/{daemon.process.pid}")
    return Facts(len(os.listdir(folder / "task")), len(os.listdir(folder / "fd")), rss_mb(daemon))


def rss_mb(daemon: Daemon) -> float:
    """Resident memory."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{daemon.process.pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def now() -> float:
    """Boot-time clock in seconds, as the daemon's sample clock is held to."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def eventually(condition: Callable[[], bool], seconds: float = LIMIT) -> float:
    """Seconds until something that announces itself by no event is so."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds, f"nothing happened within {seconds} s"
        time.sleep(0.01)
    return time.monotonic() - begun


def sound_server() -> PulseAudio:
    """A private sound server, to be entered; Unavailable where there can be none."""
    if (reason := missing()) is not None:
        raise Unavailable(reason)
    return PulseAudio()


def play_evenly(pulse: PulseAudio, path: Path, sink: str = "mic") -> subprocess.Popen[bytes]:
    """Play with a buffer that a busy machine does not let run dry: a gap in the playing would make the truth untrue."""
    command = ["paplay", f"--device={sink}", "--latency-msec=2000", str(path)]
    return subprocess.Popen(command, env=pulse.environment, stdin=subprocess.DEVNULL)


def speech() -> npt.NDArray[np.int16]:
    """The first utterance of the bundled recording with room tone around it: 0.9 s, 2 s of speech, 0.9 s."""
    samples, _ = soundfile.read(bundled_recording(), dtype="int16")
    return np.asarray(samples[int(0.6 * RATE) : int(4.4 * RATE)], np.int16)


def room(seconds: float, seed: int = 1) -> npt.NDArray[np.int16]:
    """A quiet room: noise at -70 dBFS."""
    generator = np.random.default_rng(seed)
    return np.asarray(generator.normal(0, 10.4, round(seconds * RATE)).round(), np.int16)


def write(folder: Path, *pieces: npt.NDArray[np.int16]) -> Path:
    """A WAV file of the pieces."""
    path = folder / f"{len(list(folder.glob('*.wav')))}.wav"
    soundfile.write(path, np.concatenate(pieces), RATE)
    return path
