"""A real message bus of Open Voice OS as a process, and a second client of it. All waits are bounded."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import websocket

from support.ports import free_port

WAIT = 30.0
"""Time limit in seconds, a hundred times what is needed."""


class MessageBus:
    """`ovos-messagebus` on a port of its own, with settings of its own."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"ws://127.0.0.1:{self.port}/core"
        self.settings = folder / "config"
        (self.settings / "mycroft").mkdir(parents=True)
        content = {"websocket": {"host": "127.0.0.1", "port": self.port, "route": "/core"}}
        (self.settings / "mycroft/mycroft.conf").write_text(json.dumps(content))
        self._folder = folder
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> MessageBus:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        environ = {**os.environ, "XDG_CONFIG_HOME": str(self.settings), "XDG_STATE_HOME": str(self._folder / "state")}
        log = self._folder / "bus.log"
        with log.open("ab") as output:
            command = [sys.executable, "-m", "ovos_messagebus"]
            self.process = subprocess.Popen(
                command, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        deadline = time.monotonic() + WAIT
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert self.process.poll() is None, log.read_text()
                assert time.monotonic() < deadline
                time.sleep(0.02)

    def kill(self) -> None:
        """End it as a crash does."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(WAIT)
            self.process = None


class BusClient:
    """A program on the bus, such as a skill; knows every message since it came."""

    def __init__(self, url: str) -> None:
        self._socket = websocket.create_connection(url, timeout=WAIT)
        self.all: list[dict[str, Any]] = []
        assert self._next()["type"] == "connected"

    def send(self, kind: str, data: dict[str, Any] | None = None) -> None:
        self._socket.send(json.dumps({"type": kind, "data": data or {}, "context": {}}))

    def send_raw(self, text: str) -> None:
        self._socket.send(text)

    def until(self, kind: str, **data: object) -> dict[str, Any]:
        """Return the next message of a type, with these values in its data; others are skipped."""
        while True:
            message = self._next()
            if message["type"] == kind and message["data"].items() >= data.items():
                return message

    def waiting(self, seconds: float) -> list[str]:
        """Return the types of the messages of the next `seconds`."""
        types, deadline = [], time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                types.append(self._next()["type"])
            except websocket.WebSocketTimeoutException:
                break
        self._socket.settimeout(WAIT)
        return types

    def close(self) -> None:
        self._socket.close()

    def _next(self) -> dict[str, Any]:
        while True:
            text = self._socket.recv()
            try:
                message = json.loads(text)
            except ValueError:
                continue
            # Tests also write what is no message, and everybody gets it.
            if isinstance(message, dict) and isinstance(message.get("data"), dict):
                self.all.append(message)
                return message
