"""A real `ser-daemon` process, and a minimal subscriber. All waits are bounded."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from support.patience import PATIENCE
from support.schema import check_line

WAIT = 20.0 * PATIENCE
"""Time limit in seconds, a hundred times what is needed."""

Message = dict[str, Any]


class Subscriber:
    """A connection to a socket of the daemon that reads and writes lines; each line is checked against the schema."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(WAIT)
        self._socket.connect(str(path))
        self._file = self._socket.makefile("rb")
        self.hello = self.next()

    def next(self) -> Message:
        """Return the next line; fail at the end of the stream."""
        message = self._receive()
        check_line(message)
        return message

    def _receive(self) -> Message:
        line = self._file.readline()
        assert line, "the daemon closed the connection"
        message: Message = json.loads(line)
        return message

    def until(self, wanted: Callable[[Message], bool] | str) -> Message:
        """Read up to the first matching line: by type, by audio state (`state:muted`), or by a predicate."""
        while True:
            message = self.next()
            if fits(message, wanted):
                return message

    def rest(self) -> list[Message]:
        """Return all lines up to the end of the stream."""
        messages = [json.loads(line) for line in self._file]
        for message in messages:
            check_line(message)
        return messages

    def request(self, kind: str, **data: object) -> Message:
        """Send a request and return its answer; events that come before it are skipped."""
        self.send(kind, **data)
        return self.answer()

    def send(self, kind: str, **data: object) -> None:
        """Send a request without waiting for its answer."""
        self._socket.sendall(json.dumps({"type": kind, "id": "r", "data": data}).encode() + b"\n")

    def answer(self) -> Message:
        """Return the answer to the request that was sent last; events that come before it are skipped."""
        return self.until(lambda message: message.get("id") == "r")

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def fits(message: Message, wanted: Callable[[Message], bool] | str) -> bool:
    """Whether a line matches; see `Subscriber.until`."""
    if callable(wanted):
        return wanted(message)
    kind, _, state = wanted.partition(":")
    return (
        bool(message["type"] == "audio-state" and message["data"]["state"] == state)
        if state
        else bool(message["type"] == kind)
    )


class Daemon:
    """A daemon process with its own folder of sockets, settings and state.

    Args:
        arguments: Further arguments of the command line.
        environment: Variables in addition to those of this process.
        feed: Connect stdin to a pipe, for `write`.
        program: Command to start instead of `ser-daemon`.
        folder: The folder, which is kept. `None` uses a temporary one.
        output: Descriptor for stdout and stderr; `None` uses files. A terminal becomes the controlling one.
    """

    def __init__(
        self,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        feed: bool = False,
        program: list[str] | None = None,
        folder: Path | None = None,
        output: int | None = None,
    ) -> None:
        self._own_folder = folder is None
        # A short name, since the path of a socket has at most 107 bytes.
        self.folder = folder or Path(tempfile.mkdtemp(prefix="ser-", dir="/tmp"))
        self.socket = self.folder / "ser.sock"
        self.control = self.folder / "ser-control.sock"
        self.log = self.folder / "stderr"
        self.output = self.folder / "stdout"
        environ = {name: value for name, value in os.environ.items() if not name.startswith("SER_")}
        environ |= {
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "PYTHONUNBUFFERED": "1",
        }
        program = program or [sys.executable, "-m", "ser_daemon.cli.daemon"]
        terminal = output is not None and os.isatty(output)
        with self.log.open("ab") as log, self.output.open("ab") as standard_output:
            self.process = subprocess.Popen(
                [*program, "--socket", str(self.socket), *arguments],
                env=environ | dict(environment or {}),
                stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
                stdout=standard_output if output is None else output,
                stderr=log if output is None else output,
                start_new_session=terminal,
                preexec_fn=(lambda: fcntl.ioctl(1, termios.TIOCSCTTY, 0)) if terminal else None,
            )
        self._clients: list[Subscriber] = []

    def __enter__(self) -> Daemon:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients:
            client.close()
        if self.process.stdin is not None:
            self.process.stdin.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self._own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def stderr(self) -> str:
        return self.log.read_text()

    @property
    def stdout(self) -> str:
        return self.output.read_text()

    def subscribe(self, path: Path | None = None) -> Subscriber:
        """Connect; wait for the daemon to start."""
        deadline = time.monotonic() + WAIT
        while True:
            try:
                client = Subscriber(path or self.socket)
            except (FileNotFoundError, ConnectionRefusedError):
                assert self.process.poll() is None, f"the daemon ended: {self.stderr}"
                assert time.monotonic() < deadline, f"no socket after {WAIT} s: {self.stderr}"
                time.sleep(0.01)
                continue
            self._clients.append(client)
            return client

    def controller(self) -> Subscriber:
        """Connect to the control socket."""
        return self.subscribe(self.control)

    def write(self, samples: npt.NDArray[np.int16]) -> None:
        """Feed samples to the daemon's stdin (with `feed`, and `--mic stdin --rate 16000`)."""
        assert self.process.stdin is not None
        self.process.stdin.write(samples.tobytes())
        self.process.stdin.flush()

    def end_of_input(self) -> None:
        """Close the daemon's stdin."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = WAIT) -> int:
        """Wait for the process to end; return its exit status."""
        return self.process.wait(seconds)


def run_daemon(*arguments: str, environment: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Run a daemon that ends by itself; return exit status, stdout and stderr."""
    with Daemon(*arguments, environment=environment) as daemon:
        code = daemon.wait()
        return code, daemon.stdout, daemon.stderr


def wait_for(condition: Callable[[], bool]) -> None:
    """Poll until a condition holds."""
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline, f"nothing happened within {WAIT} s"
        time.sleep(0.01)


def numbered(messages: list[Message]) -> Iterator[int]:
    """Return the sequence numbers of events."""
    return (message["data"]["seq"] for message in messages if "seq" in message["data"])
