"""The socket that clients connect to, and the limits of all of them together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import stat
from pathlib import Path

from ser_bridges.wyoming.connection import Connection, Shared
from ser_bridges.wyoming.encoding import encode_error
from ser_daemon.sources.wyoming_uri import TcpAddress, UnixAddress, WyomingAddress
from ser_model.errors import SerError

log = logging.getLogger(__name__)

CHECK_SECONDS = 2.0
"""Time between two looks at what has come to a standstill."""

_BACKLOG = 256
_READ_LIMIT = 64 * 1024
"""Bytes that asyncio reads ahead for a connection: it stops at twice as many."""


class Server:
    """Serves clients until `close`."""

    def __init__(self, shared: Shared, max_clients: int) -> None:
        self._shared = shared
        self._max_clients = max_clients
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._checking: asyncio.Task[None] | None = None
        self._path: Path | None = None

    async def start(self, address: WyomingAddress) -> None:
        """Listen.

        Raises:
            SerError: the address is in use, or may not be used.
        """
        try:
            if isinstance(address, TcpAddress):
                self._server = await asyncio.start_server(
                    self._connected, address.host, address.port, limit=_READ_LIMIT, backlog=_BACKLOG
                )
            else:
                _remove_stale(address)
                self._server = await asyncio.start_unix_server(
                    self._connected, address.path, limit=_READ_LIMIT, backlog=_BACKLOG
                )
                self._path = Path(address.path)
        except OSError as error:
            where = f"{address.host}:{address.port}" if isinstance(address, TcpAddress) else address.path
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
            raise SerError(f"Cannot listen on {where}: {reason}; choose another --uri.") from error
        self._checking = asyncio.create_task(self._check())

    async def close(self) -> None:
        """Close all connections and stop listening."""
        if self._checking is not None:
            self._checking.cancel()
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._connections):
            connection.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        # Lets the transports send what they hold.
        await asyncio.sleep(0)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= self._max_clients:
            text = f"This service has {self._max_clients} clients already; try again later, or see its --max-clients."
            writer.write(encode_error("too-many-clients", text))
            writer.close()
            return
        sock: socket.socket = writer.get_extra_info("socket")
        if sock.family != socket.AF_UNIX:
            # Notices a client that was switched off.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection = Connection(self._shared, reader, writer)
        self._connections.add(connection)
        log.debug("A client has connected; there are %d.", len(self._connections))
        try:
            await connection.serve()
        finally:
            self._connections.discard(connection)
            log.debug("A client has gone; there are %d.", len(self._connections))

    async def _check(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            for connection in tuple(self._connections):
                connection.check()


def _remove_stale(address: UnixAddress) -> None:
    """Remove a socket that nobody listens on; refuse to remove anything else."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(address.path).st_mode):
            raise SerError(f"{address.path} exists and is no socket; remove it or choose another --uri.")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(address.path)
            except ConnectionRefusedError:
                os.unlink(address.path)
                return
        raise SerError(f"Another process listens on {address.path}; stop it or choose another --uri.")
