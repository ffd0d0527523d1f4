"""The synchronous client; programs import it from `ser_daemon.client`."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

from ser_daemon.client.addresses import connection_error, socket_paths
from ser_daemon.client.wire import (
    CHUNK,
    ClientSettings,
    EventStream,
    NotRunning,
    PendingRequest,
    Reconnect,
    RequestFailed,
    decode,
    encode_filter,
)
from ser_daemon.wire.events import Event
from ser_model.errors import SerError


class Client(ClientSettings):
    """A synchronous client; each request and each stream has a connection of its own.

    Args:
        path: the daemon's socket; `None`: `$SER_SOCKET`, else the user's socket, else the system's.
        timeout: seconds to wait for the answer to a request.
    """

    def __init__(self, path: str | Path | None = None, *, timeout: float = 10.0) -> None:
        super().__init__(path, timeout=timeout)
        self._streams: set[socket.socket] = set()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End all streams; a thread that waits in one sees it end."""
        while self._streams:
            with contextlib.suppress(OSError):
                self._streams.pop().shutdown(socket.SHUT_RDWR)

    def request(self, name: str, **data: object) -> dict[str, Any]:
        """Send a request and return the data of the answer: `client.request("hold", ms=3000)`.

        Raises:
            RequestFailed: the daemon refused.
            NotRunning, NotAllowed: no daemon can be reached.
        """
        deadline = time.monotonic() + self._timeout
        request = PendingRequest(name, data)
        with self._connect(name) as sock:
            _send(sock, request.line)
            while True:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise self._timed_out(name)
                sock.settimeout(left)
                try:
                    answer = request.feed(_receive(sock))
                except TimeoutError:
                    raise self._timed_out(name) from None
                if answer is not None:
                    return answer

    def label(self, utterance: str, label: str) -> dict[str, Any]:
        """Correct the label of an utterance, so that later answers are taught by it.

        Args:
            utterance: `utterance_id` of an event, or `last`.
            label: one of the labels in `Hello`.

        Returns:
            the data of the answer: `utterance_id`, `label`, `taught` (examples in force), and a sentence as `text`

        Raises:
            RequestFailed: corrections are off, the utterance is too old or was no speech, or there is no such label.
            NotRunning, NotAllowed: no daemon can be reached.
        """
        return self.request("label", utterance_id=utterance, label=label)

    def subscribe(
        self,
        *,
        events: Sequence[str] | None = None,
        partial: bool = True,
        min_confidence: float = 0.0,
        reconnect: bool = False,
        on_lost: Callable[[SerError], None] | None = None,
    ) -> Generator[Event]:
        """Yield events as they come, a `Hello` first on every connection.

        Args:
            events: types wanted, such as `["emotion"]`; None: all.
            partial: whether emotions that are not final are wanted.
            min_confidence: emotions with a lower confidence are left out.
            reconnect: wait for a daemon that isn't running, and connect again when the connection is lost.
            on_lost: with `reconnect`, called with the reason of every failed attempt and lost connection.
        """
        filter_ = encode_filter(events, partial, min_confidence)
        for line in self.lines(filter_, reconnect=reconnect, on_lost=on_lost):
            event = decode(line)
            if event is not None:
                yield event

    def lines(
        self,
        filter_: dict[str, object] | None = None,
        *,
        reconnect: bool = False,
        on_lost: Callable[[SerError], None] | None = None,
    ) -> Generator[bytes]:
        """Yield the stream as raw lines without their newline; `filter_` is the data of `subscribe`."""
        retry = Reconnect(reconnect, on_lost)
        while True:
            try:
                for line in self._stream(filter_):
                    retry.received()
                    yield line
                return
            except (NotRunning, RequestFailed) as error:
                delay = retry.delay_after(error)
            time.sleep(delay)

    def _stream(self, filter_: dict[str, object] | None) -> Generator[bytes]:
        stream = EventStream(filter_)
        sock = self._connect()
        self._streams.add(sock)
        try:
            _send(sock, stream.line)
            while (data := _receive(sock)) or sock in self._streams:
                yield from stream.feed(data)
        finally:
            self._streams.discard(sock)
            sock.close()

    def _connect(self, request: str | None = None) -> socket.socket:
        failures: list[tuple[Path, OSError]] = []
        for path in socket_paths(self._path, request):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.settimeout(self._timeout)
            try:
                sock.connect(os.fspath(path))
            except OSError as error:
                sock.close()
                failures.append((path, error))
            else:
                sock.settimeout(None)
                return sock
        raise connection_error(failures)


def _send(sock: socket.socket, data: bytes) -> None:
    # A daemon that refuses the connection has closed it already. Its reason can still be read.
    with contextlib.suppress(ConnectionError):
        sock.sendall(data)


def _receive(sock: socket.socket) -> bytes:
    """Wait for bytes; empty where the connection was closed."""
    try:
        return sock.recv(CHUNK)
    except ConnectionError:
        return b""
