"""Tools of the scenarios: figures with bounds, a subscriber with arrival times, and process statistics."""

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

from support.daemon import Daemon, Message, Subscriber, fits
from support.pulse import PulseAudio, unavailable_reason
from support.schema import check_line
from support.speech import SYNTHETIC_SPEECH

RATE = 16_000
HOP = 683 / RATE
"""Seconds from one feature frame to the next."""

LIMIT = 30.0
"""Time limit of waits in seconds. It is far above every bound, so that a missed bound can be measured."""


class Unavailable(Exception):  # noqa: N818
    """The scenario needs something that this machine does not have; the text says what."""


@dataclass(frozen=True, slots=True)
class Check:
    """One measured figure and the bound that it must not exceed."""

    what: str
    measured: float
    bound: float
    unit: str = "s"

    @property
    def ok(self) -> bool:
        """Whether the bound holds."""
        return self.measured <= self.bound

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.what}: {self.measured:.3g}{unit} (bound {self.bound:g}{unit})"


class TimedSubscriber(Subscriber):
    """A subscriber that reads in a thread, and records the arrival time of each line."""

    def __init__(self, daemon: Daemon) -> None:
        daemon.controller()
        super().__init__(daemon.socket)
        # The stream may be silent for long; `wait` has its own limit.
        self._socket.settimeout(None)
        self.lines: list[tuple[float, Message]] = []
        """(boot-time clock in seconds, line), in order."""
        self._changed = threading.Condition()
        self._ended = False
        self._invalid: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            while True:
                message = self._receive()
                came = now()
                try:
                    check_line(message)
                except AssertionError as error:
                    self._invalid.append(str(error))
                with self._changed:
                    self.lines.append((came, message))
                    self._changed.notify_all()
        except (AssertionError, OSError, ValueError):
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def close(self) -> None:
        """Close the connection, also while the thread reads; fail if a line was not of the protocol."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        super().close()
        assert not self._invalid, self._invalid[0]

    def mark(self) -> int:
        """Return the present position in the stream, for `wait`."""
        return len(self.lines)

    def wait(self, wanted: Callable[[Message], bool] | str, since: int = 0, seconds: float = LIMIT) -> float:
        """Return the arrival time of the first matching line from position `since` on; see `support.daemon.fits`."""
        return self.find(wanted, since, seconds)[0]

    def find(
        self, wanted: Callable[[Message], bool] | str, since: int = 0, seconds: float = LIMIT
    ) -> tuple[float, Message]:
        """Like `wait`, but return the line too."""
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
        """Wait for the end of the stream; return all lines."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._ended, seconds), f"no end within {seconds} s"
        return [message for _, message in self.lines]

    def listening(self) -> None:
        """Wait until the daemon is listening."""
        if self.hello["data"]["state"] != "listening":
            self.wait("state:listening")

    def kinds(self, since: int = 0) -> list[str]:
        """Return the types of the lines. States are `state:NAME`, and final answers `final`."""
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
    """Resources of a process (proc(5))."""

    threads: int
    descriptors: int
    rss_mb: float

    def checks_against(self, before: Facts, growth_mb: float) -> list[Check]:
        """Return checks for the same threads and descriptors as before, and bounded growth of memory."""
        return [
            Check("threads more than before", abs(self.threads - before.threads), 0, ""),
            Check("descriptors more than before", abs(self.descriptors - before.descriptors), 0, ""),
            Check("memory more than before", self.rss_mb - before.rss_mb, growth_mb, "MB"),
        ]


def facts(daemon: Daemon) -> Facts:
    """Read the resources of a daemon."""
    folder = Path(f"/proc/{daemon.process.pid}")
    return Facts(len(os.listdir(folder / "task")), len(os.listdir(folder / "fd")), rss_mb(daemon))


def rss_mb(daemon: Daemon) -> float:
    """Return the resident memory in MB."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{daemon.process.pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def now() -> float:
    """Return the boot-time clock in seconds, which is the reference of the daemon's sample clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def eventually(condition: Callable[[], bool], seconds: float = LIMIT) -> float:
    """Poll until a condition holds; return the seconds that this took."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds, f"nothing happened within {seconds} s"
        time.sleep(0.01)
    return time.monotonic() - begun


def sound_server() -> PulseAudio:
    """Return a private sound server, as a context manager.

    Raises:
        Unavailable: This machine cannot run one.
    """
    if (reason := unavailable_reason()) is not None:
        raise Unavailable(reason)
    return PulseAudio()


def play_evenly(pulse: PulseAudio, path: Path, sink: str = "mic") -> subprocess.Popen[bytes]:
    """Play with a buffer that is large enough for a busy machine. A gap would shift the true positions."""
    command = ["paplay", f"--device={sink}", "--latency-msec=2000", str(path)]
    return subprocess.Popen(command, env=pulse.environment, stdin=subprocess.DEVNULL)


def speech() -> npt.NDArray[np.int16]:
    """Return the first utterance of the synthetic recording: 0.9 s of room tone, 2 s of speech, 0.9 s of room tone."""
    samples, _ = soundfile.read(SYNTHETIC_SPEECH, dtype="int16")
    return np.asarray(samples[int(0.6 * RATE) : int(4.4 * RATE)], np.int16)


def room(seconds: float, seed: int = 1) -> npt.NDArray[np.int16]:
    """Return the noise of a quiet room at -70 dBFS."""
    generator = np.random.default_rng(seed)
    return np.asarray(generator.normal(0, 10.4, round(seconds * RATE)).round(), np.int16)


def write(folder: Path, *pieces: npt.NDArray[np.int16]) -> Path:
    """Write the pieces to a WAV file."""
    path = folder / f"{len(list(folder.glob('*.wav')))}.wav"
    soundfile.write(path, np.concatenate(pieces), RATE)
    return path
