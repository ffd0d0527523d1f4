"""The server on two sockets: one for events and queries, one that also serves the control verbs."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from ser_daemon.wire.connection import Connection
from ser_daemon.wire.publisher import Publisher
from ser_daemon.wire.requests import ControlHandler, RequestHandler
from ser_daemon.wire.sockets import BACKLOG, Listener, bind, inherited
from ser_daemon.wire.status import Status

__all__ = ["ControlHandler", "Server", "Status"]

MAX_CLIENTS = 256
"""Clients per socket; each needs a file descriptor, of which systemd's default allows 1024."""

ACCEPTED_AT_ONCE = 4
"""Connections accepted in one iteration of the loop, so that many new clients don't delay events."""


class Server:
    """Serves the events of a publisher, and requests, on Unix sockets."""

    def __init__(
        self,
        publisher: Publisher,
        control: ControlHandler,
        status: Callable[[], Status],
        metrics: Callable[[], Mapping[str, float | int]] = dict,
        max_clients: int = MAX_CLIENTS,
    ) -> None:
        """Prepare to serve.

        Args:
            publisher: where events come from.
            control: carries out the control verbs.
            status: returns the current status of the daemon; called for each `hello`, `status` and `describe`.
            metrics: returns counters for `metrics`, beside the publisher's own.
            max_clients: clients per socket; one more gets an `error` and is disconnected. The limit is per
                socket, so that many listeners can't keep a user from muting.
        """
        self._publisher = publisher
        self._handler = RequestHandler(publisher, control, status, lambda: {**self.metrics, **metrics()})
        self._max_clients = max_clients
        self._connections: dict[str, set[Connection]] = {"events": set(), "control": set()}
        self._rejected = 0
        self._listeners: list[Listener] = []
        self._servers: list[asyncio.Server] = []
        self._empty = asyncio.Event()

    @property
    def metrics(self) -> dict[str, int]:
        """Counters by name."""
        return {
            "clients": sum(len(connections) for connections in self._connections.values()),
            "clients_rejected": self._rejected,
        }

    @property
    def paths(self) -> list[Path]:
        """Sockets served: the event socket, then the control socket where it is a separate one."""
        return [listener.path for listener in self._listeners]

    async def start(self, path: Path, control_path: Path, environ: MutableMapping[str, str] = os.environ) -> None:
        """Listen. Sockets that systemd passed are used instead of the paths.

        With equal paths one socket serves everything.

        Raises:
            SocketError: a socket can't be made.
        """
        listeners = inherited(environ)
        try:
            if not listeners:
                listeners["events"] = bind(path)
                if control_path != path:
                    listeners["control"] = bind(control_path)
            self._listeners = [listeners[name] for name in ("events", "control") if name in listeners]
            for name, listener in listeners.items():
                await self._serve(name, listener, listeners)
        except BaseException:
            for listener in listeners.values():
                listener.unlink()
                listener.sock.close()
            raise

    async def close(self, timeout: float = 0.5) -> None:
        """Stop accepting, give clients `timeout` seconds to read what is queued, then disconnect them."""
        for server in self._servers:
            server.close()
        for listener in self._listeners:
            listener.unlink()
        connections = [connection for group in self._connections.values() for connection in group]
        if connections:
            self._empty.clear()
            for connection in connections:
                connection.close()
            try:
                await asyncio.wait_for(self._empty.wait(), timeout)
            except TimeoutError:
                for connection in connections:
                    connection.abort()
                # One iteration of the loop, in which `connection_lost` is called.
                await asyncio.sleep(0)

    async def _serve(self, name: str, listener: Listener, all_listeners: Mapping[str, Listener]) -> None:
        connections = self._connections[name]
        hint = None
        if name == "events" and "control" in all_listeners:
            hint = f"a control verb; send it to the control socket, {all_listeners['control'].path}."

        def register(connection: Connection) -> bool:
            if len(connections) >= self._max_clients:
                self._rejected += 1
                return False
            connections.add(connection)
            return True

        def unregister(connection: Connection) -> None:
            connections.discard(connection)
            if not any(self._connections.values()):
                self._empty.set()

        def connect() -> Connection:
            return Connection(
                self._handler, self._publisher, control_hint=hint, register=register, unregister=unregister
            )

        # From Python 3.13 on, asyncio would remove the socket file, even one that belongs to systemd.
        keep_file: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
        loop = asyncio.get_running_loop()
        server = await loop.create_unix_server(connect, sock=listener.sock, backlog=ACCEPTED_AT_ONCE, **keep_file)
        self._servers.append(server)
        # asyncio uses `backlog` both for listen() and for the connections accepted at once. Only the latter is wanted.
        listener.sock.listen(BACKLOG)
