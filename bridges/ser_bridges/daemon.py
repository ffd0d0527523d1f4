"""The daemon as all bridges use it: its events over restarts, and requests to it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

from ser_daemon.client import AsyncClient, Event, NotRunning
from ser_model.errors import SerError

log = logging.getLogger(__name__)


class Daemon:
    """The daemon behind a socket; survives its restarts."""

    def __init__(
        self, socket: Path | None = None, control_socket: Path | None = None, *, timeout: float = 10.0
    ) -> None:
        """Prepare; connects when used.

        Args:
            socket: the event socket; None: `$SER_SOCKET`, else the user's, else the system's.
            control_socket: None: the one beside the event socket.
            timeout: seconds to wait for the answer to a request.
        """
        self._events = AsyncClient(socket, timeout=timeout)
        self._control = self._events if control_socket is None else AsyncClient(control_socket, timeout=timeout)
        self.connected = False
        """Whether events come now."""

    async def follow(
        self, *, partial: bool = True, on_lost: Callable[[SerError], None] | None = None
    ) -> AsyncGenerator[Event]:
        """Yield the daemon's events without end, a `Hello` first after every connection.

        Args:
            partial: whether emotions that are not final are wanted.
            on_lost: called once with the reason when no daemon can be reached, however many attempts follow.

        Raises:
            NotAllowed: this user may not connect.
            ProtocolError: another program listens on the socket.
        """
        told = False

        def lost(error: SerError) -> None:
            nonlocal told
            self.connected = False
            if told:
                return
            told = True
            log.warning("%s%s", error, " Waiting for it." if isinstance(error, NotRunning) else "")
            if on_lost is not None:
                on_lost(error)

        stream = self._events.subscribe(partial=partial, reconnect=True, on_lost=lost)
        async with contextlib.aclosing(stream) as events:
            async for event in events:
                if not self.connected:
                    log.info("Connected to the daemon.")
                self.connected, told = True, False
                yield event

    async def query(self, name: str, **data: object) -> dict[str, Any]:
        """Ask what changes nothing, such as `status`; errors as `AsyncClient.request`."""
        return await self._events.request(name, **data)

    async def control(self, verb: str, **data: object) -> dict[str, Any]:
        """Have a control verb carried out, such as `mute`; errors as `AsyncClient.request`."""
        return await self._control.request(verb, **data)
