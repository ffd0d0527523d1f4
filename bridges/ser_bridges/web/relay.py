"""A client's own connection to the daemon's event socket, made again after each loss.

The daemon's queue is the only one: what a client does not take is not read from the daemon, which then drops partial
results, counts them, and ends the connection of a client that takes nothing (docs/protocol.md, Slow readers).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncGenerator
from pathlib import Path

from ser_bridges.web.requests import encode
from ser_daemon.backoff import Backoff
from ser_daemon.client import NotRunning, ProtocolError
from ser_daemon.client.addresses import connection_error, socket_paths
from ser_daemon.client.wire import CHUNK, FIRST_DELAY, LONGEST_DELAY, LineBuffer
from ser_model.errors import SerError

log = logging.getLogger(__name__)

FILTER = ("events", "partial", "min_confidence")
"""Fields of `subscribe`, which `subscribed` repeats."""

GONE = "The daemon closed the connection."


async def connect(socket: Path | None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the daemon's event socket.

    Raises:
        NotRunning: nobody listens.
        NotAllowed: this user may not connect.
    """
    failures: list[tuple[Path, OSError]] = []
    for path in socket_paths(socket):
        try:
            return await asyncio.open_unix_connection(path)
        except OSError as error:
            failures.append((path, error))
    raise connection_error(failures)


class Relay:
    """The daemon's lines for one client, over restarts of the daemon."""

    def __init__(self, socket: Path | None, subscription: dict[str, object] | None = None) -> None:
        """Prepare; connects in `lines`.

        Args:
            socket: the daemon's event socket; None: the usual ones.
            subscription: data of the first `subscribe`; None: all events.
        """
        self._socket = socket
        self._subscription = subscription or {}
        self._writer: asyncio.StreamWriter | None = None
        self._backoff = Backoff(FIRST_DELAY, LONGEST_DELAY)
        self._told = False

    async def lines(self) -> AsyncGenerator[bytes]:
        """Yield the daemon's lines without their newline.

        `hello` comes first after every connection. An `error` with the code `no-daemon` comes once when the daemon
        cannot be reached, however many attempts follow. Ends after `slow-consumer`, and where the first subscription
        was refused, each with the daemon's own `error` as the last line.
        """
        while True:
            try:
                async with contextlib.aclosing(self._connection()) as lines:
                    async for line in lines:
                        yield line
                return
            except SerError as error:
                delay = self._backoff.failed(time.monotonic())
                if not self._told:
                    self._told = True
                    log.log(logging.INFO if isinstance(error, NotRunning) else logging.WARNING, "%s", error)
                    yield encode("error", {"code": "no-daemon", "text": str(error)})
            await asyncio.sleep(delay)

    async def send(self, line: bytes) -> bool:
        """Send a request; wait while the daemon takes none. False: there is no connection."""
        writer = self._writer
        if writer is None:
            return False
        try:
            writer.write(line + b"\n")
            await writer.drain()
        except OSError:
            return False
        return True

    async def _connection(self) -> AsyncGenerator[bytes]:
        """Yield the lines of one connection; return where the client must not be connected again."""
        reader, writer = await connect(self._socket)
        try:
            # Requests do not stop the events of a connection that has subscribed.
            writer.write(encode("subscribe", self._subscription) + b"\n")
            # Requests of the client follow it, so the first answer is that to this one.
            self._writer = writer
            buffer, subscribed = LineBuffer(), False
            while data := await _receive(reader):
                for line in buffer.feed(data):
                    name, content = _parse_head(line)
                    if not subscribed and name == "subscribed":
                        subscribed, self._told = True, False
                        self._backoff.reset()
                        continue
                    if name == "error" and content.get("code") == "too-many-clients":
                        raise NotRunning(str(content.get("text")))
                    if subscribed or name in ("hello", "error"):
                        yield line
                    if name == "subscribed":
                        self._subscription = {key: content[key] for key in FILTER if content.get(key) is not None}
                    elif name == "error" and (content.get("code") == "slow-consumer" or not subscribed):
                        return
            raise NotRunning(GONE)
        finally:
            self._writer = None
            writer.close()


def _parse_head(line: bytes) -> tuple[str, dict[str, object]]:
    """Return the type of a line and, of the few types that matter here, its data.

    Raises:
        ProtocolError: another program listens on the socket.
    """
    if line.startswith((b'{"type":"emotion"', b'{"type":"status"')):
        # By far the most lines; a client gets them as they are.
        return line[9 : line.index(b'"', 9)].decode(), {}
    try:
        message = json.loads(line)
        return str(message["type"]), dict(message.get("data") or {})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise ProtocolError(f"Not a line of ser-daemon: {line[:60]!r}; does another program listen there?") from None


async def _receive(reader: asyncio.StreamReader) -> bytes:
    """Wait for bytes; empty where the connection was closed."""
    try:
        return await reader.read(CHUNK)
    except ConnectionError:
        return b""
