"""A real Mosquitto with its own clients (Debian: mosquitto, mosquitto-clients), and certificates made by openssl."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from support.ports import free_port

WAIT = 30.0
"""Time limit in seconds, a hundred times what is needed."""

_SYSTEM_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))


def missing() -> str | None:
    """Return what this machine lacks; None where a broker can be started."""
    tools = ("mosquitto", "mosquitto_sub", "mosquitto_pub", "mosquitto_passwd")
    lacks = [name for name in tools if shutil.which(name, path=_SYSTEM_PATH) is None]
    return f"{', '.join(lacks)} is not installed (Debian: mosquitto, mosquitto-clients)" if lacks else None


class Broker:
    """A broker that keeps nothing on disk: a restart forgets what was retained.

    Args:
        folder: for its settings and log.
        settings: further lines of mosquitto.conf(5).
    """

    def __init__(self, folder: Path, *settings: str, anonymous: bool = True) -> None:
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        lines = [f"listener {self.port} 127.0.0.1", f"allow_anonymous {str(anonymous).lower()}", "user root", *settings]
        self._config.write_text("\n".join(lines) + "\n")
        self._log = folder / "mosquitto.log"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Broker:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        program = shutil.which("mosquitto", path=_SYSTEM_PATH)
        assert program is not None
        with self._log.open("ab") as log:
            self.process = subprocess.Popen([program, "-c", str(self._config)], stdout=log, stderr=log)
        deadline = time.monotonic() + WAIT
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert self.process.poll() is None, self._log.read_text()
                assert time.monotonic() < deadline
                time.sleep(0.02)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(WAIT)
            self.process = None

    def publish(self, topic: str, payload: str, *options: str) -> None:
        command = ["mosquitto_pub", "-p", str(self.port), "-q", "1", "-t", topic, "-m", payload, *options]
        subprocess.run(command, check=True, timeout=WAIT)

    def listen(self, *topics: str, options: tuple[str, ...] = ()) -> Listener:
        return Listener(self.port, topics, options)


@dataclass(frozen=True, slots=True)
class Received:
    """A message as a subscriber gets it."""

    topic: str
    payload: str
    qos: int
    retained: bool
    """Whether the broker had kept it from before the subscription."""

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self.payload)
        return data


class Listener:
    """`mosquitto_sub`, which a test waits on."""

    def __init__(self, port: int, topics: tuple[str, ...], options: tuple[str, ...] = ()) -> None:
        # Without stdbuf its own lines would wait in a buffer.
        command = [
            "stdbuf",
            "-oL",
            "mosquitto_sub",
            "-V",
            "5",
            "-p",
            str(port),
            "-q",
            "1",
            "-F",
            "%r %q %t %p",
            "-d",
            *options,
        ]
        for topic in topics:
            command += ["-t", topic]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._queue: queue.Queue[Received] = queue.Queue()
        self._subscribed = threading.Event()
        self.all: list[Received] = []
        threading.Thread(target=self._read, daemon=True).start()
        if not self._subscribed.wait(WAIT):
            self._process.kill()
            raise AssertionError("the broker did not answer")

    def __enter__(self) -> Listener:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # It has nothing to lose, and sometimes waits for ever after SIGTERM.
        self._process.kill()
        self._process.wait(WAIT)

    def until(self, wanted: Callable[[Received], bool], seconds: float = WAIT) -> Received:
        """Return the next message that fits; others are skipped, and kept in `all`."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                message = self._queue.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"not received; but: {self.all[-8:]}") from None
            if wanted(message):
                return message

    def value(self, topic_end: str, payload: str | None = None, seconds: float = WAIT) -> Received:
        """Return the next message whose topic ends so, with this payload."""
        return self.until(
            lambda message: message.topic.endswith(topic_end) and payload in (None, message.payload), seconds
        )

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            parts = line.rstrip("\n").split(" ", 3)
            if line.startswith("Subscribed"):
                self._subscribed.set()
            elif len(parts) == 4 and parts[0] in "01" and parts[1] in "012" and "/" in parts[2]:
                message = Received(parts[2], parts[3], int(parts[1]), parts[0] == "1")
                self.all.append(message)
                self._queue.put(message)


def make_password(file: Path, user: str, password: str) -> None:
    """Make a password file for the broker."""
    command = ["mosquitto_passwd", "-b", "-c", str(file), user, password]
    subprocess.run(command, check=True, capture_output=True, timeout=WAIT)


def make_certificates(folder: Path, *names: str) -> None:
    """Make an authority `ca.crt`, and `NAME.crt` and `NAME.key` signed by it for each host name."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=WAIT)

    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl(*new, "-x509", "-subj", "/CN=Test authority", "-keyout", "ca.key", "-out", "ca.crt")
    for name in names:
        openssl(*new, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        (folder / "names").write_text(f"subjectAltName=DNS:{name}\n")
        signed = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names")
        openssl("x509", "-req", "-in", f"{name}.csr", *signed, "-out", f"{name}.crt")
