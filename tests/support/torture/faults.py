"""Faults of the daemon's own parts: a hanging source, a failing thread, mute, the state directory."""

from __future__ import annotations

import contextlib
import itertools
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from support.daemon import Daemon
from support.speech import SYNTHETIC_SPEECH
from support.torture.measure import Check, TimedSubscriber, Unavailable, eventually, now, sound_server
from support.torture.microphone import Scene

WATCHDOG = 20.0
"""Watchdog interval in seconds, as in the units."""

BROKEN = f"""
import ctypes, sys, time
import numpy as np
import soundfile
from ser_daemon.cli import daemon as command
from ser_daemon.service import engine
from ser_daemon.sources import Chunk, boot_time

class Broken:
    name, live, position = "broken", True, 0

    def __init__(self):
        self.samples = soundfile.read({str(SYNTHETIC_SPEECH)!r}, dtype="int16")[0][9600:]

    def open(self): pass
    def close(self): pass

    def read(self):
        if self.position > 2.2 * 16000:
            if sys.argv[-1] == "raise":
                raise RuntimeError("a bug")
            ctypes.CDLL(None).pause()
        time.sleep(0.1)
        self.position += 1600
        return Chunk(self.samples[self.position - 1600 : self.position], boot_time())

engine.make_source = lambda config: Broken()
sys.exit(command.main(sys.argv[1:-1]))
"""
"""A daemon whose device plays speech, and then hangs in C or raises in the middle of an utterance."""


class ServiceManager:
    """Receives the notifications of a service (sd_notify(3))."""

    def __init__(self, folder: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(folder / "notify"))
        self.environment = {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": str(int(WATCHDOG * 1e6))}
        self.watchdog_times: list[float] = []
        """Times of the watchdog keep-alives, on the boot-time clock."""
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._socket.recv(4096):
                if b"WATCHDOG=1" in data.splitlines():
                    self.watchdog_times.append(now())

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def longest_pause(self, since: float) -> float:
        """Return the longest time between two keep-alives, or to now."""
        times = [since, *(at for at in self.watchdog_times if at > since), now()]
        return max(b - a for a, b in itertools.pairwise(times))


@contextlib.contextmanager
def _broken(how: str) -> Iterator[tuple[Daemon, TimedSubscriber, ServiceManager]]:
    program = [sys.executable, "-c", BROKEN]
    with tempfile.TemporaryDirectory(prefix="ser-", dir="/tmp") as folder:
        manager = ServiceManager(Path(folder))
        with (
            contextlib.closing(manager),
            Daemon("--service", how, program=program, environment=manager.environment) as daemon,
            contextlib.closing(TimedSubscriber(daemon)) as subscriber,
        ):
            yield daemon, subscriber, manager


def hangs_in_c(quick: bool) -> list[Check]:
    """A source hangs in C: this is reported, the watchdog gets no keep-alive, and the process ends for a restart."""
    with _broken("hang") as (daemon, subscriber, manager):
        subscriber.wait("emotion")
        reported = subscriber.wait("state:no-device")
        last_alive = manager.watchdog_times[-1]
        code = daemon.wait()
        ended = now()
        kinds = subscriber.kinds()
        stacks = len(re.findall(r'File "<string>", line \d+, in read', daemon.stderr))
        alive_after = sum(at > last_alive + 1.0 for at in manager.watchdog_times)
    return [
        Check("no-device reported after the last keep-alive", reported - last_alive, 2.0),
        Check("keep-alives while it hangs", alive_after, 0, ""),
        Check("process ended after the last keep-alive", ended - last_alive, WATCHDOG),
        Check("exit status 0", code == 0, 0, ""),
        Check("open utterance without its final", "final" not in kinds, 0, ""),
        Check("stack logged other than once", abs(stacks - 1), 0, ""),
    ]


def hangs_and_is_muted(quick: bool) -> list[Check]:
    """A source hangs in C: mute is answered, and SIGTERM ends the process."""
    with _broken("hang") as (daemon, subscriber, _):
        control = daemon.controller()
        subscriber.wait("state:no-device")
        begun = now()
        answer = control.request("mute")
        answered = now() - begun
        remembered = list((daemon.folder / "state").rglob("muted"))
        muted = bool(remembered) and remembered[0].read_text().strip() == "1"
        begun = now()
        daemon.signal(signal.SIGTERM)
        daemon.wait()
        ended = now() - begun
    return [
        Check("mute answered after", answered, 2.0),
        Check("mute said to be done though the device hangs", answer["type"] != "error", 0, ""),
        Check("mute not remembered for the next start", not muted, 0, ""),
        Check("ended by SIGTERM after", ended, 2.0),
    ]


def thread_raises(quick: bool) -> list[Check]:
    """A thread raises: one stack trace, a final answer for the open utterance, and a non-zero exit status."""
    with _broken("raise") as (daemon, subscriber, _):
        subscriber.wait("emotion")
        stopping = subscriber.wait("state:stopping")
        code = daemon.wait()
        took = now() - stopping
        return [
            Check("stack logged other than once", abs(daemon.stderr.count("Traceback") - 1), 0, ""),
            Check("exit status 0", code == 0, 0, ""),
            Check("open utterance without its final", "final" not in subscriber.kinds(), 0, ""),
            Check("ended after the state `stopping`", took, 2.0),
        ]


def muted_over_a_restart(quick: bool) -> list[Check]:
    """A muted daemon is killed and started again: the microphone stays closed until `unmute`."""
    seconds = 4.0 if quick else 60.0
    with sound_server() as pulse, tempfile.TemporaryDirectory(prefix="ser-", dir="/tmp") as name:
        folder = Path(name)
        manager = ServiceManager(folder)
        environment = pulse.environment | manager.environment
        with contextlib.closing(manager):
            with Daemon("--service", environment=environment, folder=folder) as daemon:
                with contextlib.closing(TimedSubscriber(daemon)) as subscriber:
                    subscriber.listening()
                    assert daemon.controller().request("mute")["type"] == "done"
                open_while_muted = pulse.capture_streams()
                daemon.signal(signal.SIGKILL)
                daemon.wait()
            with (
                Daemon("--service", environment=environment, folder=folder) as daemon,
                contextlib.closing(TimedSubscriber(daemon)) as subscriber,
            ):
                control = daemon.controller()
                not_muted = not control.request("status")["data"]["muted"]
                begun, end = now(), time.monotonic() + seconds
                while time.monotonic() < end:
                    open_while_muted = max(open_while_muted, pulse.capture_streams())
                    time.sleep(0.25)
                pause = manager.longest_pause(begun)
                place, begun = subscriber.mark(), now()
                control.request("unmute")
                back = subscriber.wait("state:listening", place) - begun
    return [
        Check("captures while muted", open_while_muted, 0, ""),
        Check("not muted after the restart", not_muted, 0, ""),
        Check("longest pause between keep-alives", pause, WATCHDOG / 2),
        Check("listening after unmute", back, 1.0),
    ]


def state_directory(quick: bool) -> list[Check]:
    """The state directory is read-only or full: the daemon continues, and logs this once."""
    checks = []
    for what, options in (("read-only", "ro"), ("full", "size=4k,nr_inodes=2")):
        with _mounted(options) as folder:
            if what == "full":
                # The file takes the only page.
                (folder / "filler").write_bytes(b"x" * 4096)
            with Scene(SER_SERVICE_STATE_DIRECTORY=str(folder)) as scene:
                scene.subscriber.listening()
                for _ in range(3):
                    assert scene.control.request("mute")["type"] == "done"
                    assert scene.control.request("unmute")["type"] == "done"
                eventually(lambda scene=scene: scene.pulse.capture_streams() == 1)
                scene.speak()
                logged = scene.daemon.stderr.count("will not survive a restart")
                traces = scene.daemon.stderr.count("Traceback")
        checks.append(Check(f"{what}: logged other than once", abs(logged - 1), 0, ""))
        checks.append(Check(f"{what}: tracebacks", traces, 0, ""))
    return checks


@contextlib.contextmanager
def _mounted(options: str) -> Iterator[Path]:
    """Mount a file system of a few kB."""
    with tempfile.TemporaryDirectory(prefix="ser-", dir="/tmp") as folder:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=20)
        except (OSError, subprocess.CalledProcessError):
            raise Unavailable("no file system can be mounted here (needs root)") from None
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True, timeout=20)
