"""The listening socket, and how many connections it takes."""

from __future__ import annotations

import asyncio
import os
import time

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from ser_model.errors import SerError

SPARE = 64
"""Connections besides those that carry events: pages that load, and strangers without the token."""

_BACKLOG = 32
"""Connections that asyncio accepts at once."""

_START_SECONDS = 1.0
"""More than a connection needs from its protocol to its transport."""


class Connections:
    """Makes the protocol of each connection; closes the oldest one without a token where there are too many.

    So strangers who connect and send nothing keep nobody out, and take a bounded number of descriptors.
    """

    def __init__(self, server: web.Server, most: int) -> None:
        """Prepare for `most` connections at once."""
        self._server = server
        self._most = most
        self._strangers: dict[RequestHandler, float] = {}
        """Those without a token, oldest first, with the time of their start."""

    def __call__(self) -> RequestHandler:
        """Return the protocol of a new connection."""
        now = time.monotonic()
        counted = set(self._server.connections)
        # The server counts a connection a moment after its start; one that is older and not counted has closed.
        self._strangers = {
            each: start for each, start in self._strangers.items() if each in counted or now - start < _START_SECONDS
        }
        spare = self._most - len(counted.union(self._strangers))
        # Those that are not counted yet have no transport to close; there are about `_BACKLOG` of them.
        for oldest in [each for each in self._strangers if each in counted][: max(0, 1 - spare)]:
            del self._strangers[oldest]
            oldest.force_close()
        protocol = self._server()
        self._strangers[protocol] = now
        return protocol

    def trust(self, request: web.BaseRequest) -> None:
        """Keep the connection of a request that had the token."""
        self._strangers.pop(request.protocol, None)


async def listen(connections: Connections, host: str, port: int) -> tuple[asyncio.Server, int]:
    """Listen on a host and port; return the server and the port, which the kernel has chosen where it was 0.

    Raises:
        SerError: the port is taken, or the host is not of this machine.
    """
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(connections, host, port, backlog=_BACKLOG)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
        raise SerError(f"Cannot listen on {host}, port {port}: {reason}; choose another --host or --port.") from None
    return server, server.sockets[0].getsockname()[1]
