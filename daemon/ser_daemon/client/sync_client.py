"""The synchronous client; programs import it from `ser_daemon.client`."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

from ser_daemon.client.wire import (
    FIRST_RETRY,
    LAST_RETRY,
    ClientSettings,
    LineBuffer,
    NotRunning,
    RequestFailed,
    SubscribedGate,
    answer,
    decode,
    request_line,
    socket_paths,
    subscription,
    unreachable,
)
from ser_daemon.wire.events import Event
from ser_model.errors import SerError

_CHUNK = 64 * 1024


class Client(ClientSettings):
    """A synchronous client; each request and each stream has a connection of its own."""

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
        """Ask for something and return the answer's data: `client.request("hold", ms=3000)`.

        Raises:
            RequestFailed: the daemon refused.
            NotRunning, NotAllowed: no daemon can be reached.
        """
        deadline = time.monotonic() + self._timeout
        with self._connect(name) as sock:
            try:
                _send(sock, request_line(name, data))
                for line in _lines(sock, deadline):
                    found = answer(line)
                    if found is not None:
                        return found
            except TimeoutError:
                raise self.unanswered(name) from None
        raise NotRunning(f"The daemon closed the connection without an answer to {name!r}.")

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
            min_confidence: emotions below it are not wanted.
            reconnect: wait for the daemon where it isn't running, and come back when it went away.
            on_lost: with `reconnect`, called with the reason of every failed attempt and lost connection.
        """
        wanted = subscription(events, partial, min_confidence)
        for line in self.lines(wanted, reconnect=reconnect, on_lost=on_lost):
            event = decode(line)
            if event is not None:
                yield event

    def lines(
        self,
        wanted: dict[str, object] | None = None,
        *,
        reconnect: bool = False,
        on_lost: Callable[[SerError], None] | None = None,
    ) -> Generator[bytes]:
        """Yield the stream as raw lines without their newline; `wanted` is the data of `subscribe`."""
        retry = FIRST_RETRY
        while True:
            try:
                for line in self._stream(wanted):
                    retry = FIRST_RETRY
                    yield line
                return
            except (NotRunning, RequestFailed) as error:
                if not reconnect or (isinstance(error, RequestFailed) and not error.passing):
                    raise
                if on_lost is not None:
                    on_lost(error)
            time.sleep(retry)
            retry = min(2 * retry, LAST_RETRY)

    def _stream(self, wanted: dict[str, object] | None) -> Generator[bytes]:
        sock = self._connect()
        self._streams.add(sock)
        gate = SubscribedGate(wanted is not None)
        try:
            if wanted is not None:
                _send(sock, request_line("subscribe", wanted))
            yield from (line for line in _lines(sock) if gate.passes(line))
            if sock not in self._streams:
                return
        finally:
            self._streams.discard(sock)
            sock.close()
        raise NotRunning("The daemon closed the connection.")

    def _connect(self, request: str | None = None) -> socket.socket:
        problems: list[tuple[Path, OSError]] = []
        for path in socket_paths(self._path, request):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.settimeout(self._timeout)
            try:
                sock.connect(os.fspath(path))
            except OSError as error:
                sock.close()
                problems.append((path, error))
            else:
                sock.settimeout(None)
                return sock
        raise unreachable(problems)


def _send(sock: socket.socket, line: bytes) -> None:
    # A daemon that turns us away has closed already; its reason is still there to be read.
    with contextlib.suppress(ConnectionError):
        sock.sendall(line)


def _lines(sock: socket.socket, deadline: float | None = None) -> Iterator[bytes]:
    """Yield lines until the other side closes; TimeoutError at the deadline (monotonic seconds)."""
    buffer = LineBuffer()
    while True:
        if deadline is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            sock.settimeout(left)
        try:
            data = sock.recv(_CHUNK)
        except ConnectionError:
            return
        if not data:
            return
        yield from buffer.feed(data)
