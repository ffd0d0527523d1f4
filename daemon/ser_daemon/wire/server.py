"""The server on two sockets: one for events and queries, one that also serves the control verbs."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path

from ser_daemon.wire.acceptor import Acceptor
from ser_daemon.wire.connection import Connection
from ser_daemon.wire.places import Places
from ser_daemon.wire.publisher import Publisher
from ser_daemon.wire.requests import ControlHandler, RequestHandler
from ser_daemon.wire.shared import Shared
from ser_daemon.wire.sockets import Listener, SocketError, bind
from ser_daemon.wire.status import Status
from ser_daemon.wire.systemd_sockets import inherited

__all__ = ["ControlHandler", "Server", "Status"]

log = logging.getLogger(__name__)

MAX_CLIENTS = 256
"""Clients per socket; each needs a file descriptor, of which systemd's default allows 1024."""

RESERVED_DESCRIPTORS = 64
"""Descriptors that clients never get: for sound libraries, the log, models, and state files."""

FREED_DESCRIPTORS = 8
"""Event clients that are given up when no descriptor is left all the same: for control clients and state files."""

WATCH_SECONDS = 2.0
"""Time between two checks whether the socket files are still there."""


@dataclass(slots=True)
class _Served:
    """A socket that is being served."""

    listener: Listener
    places: Places
    hint: str | None
    """Where to send control verbs; None: here."""
    acceptor: Acceptor | None = None
    problem: str = ""
    """Why a lost socket file could not be made again, as last logged."""


class Server:
    """Serves the events of a publisher, and requests, on Unix sockets."""

    def __init__(
        self,
        publisher: Publisher,
        control: ControlHandler,
        status: Callable[[], Status],
        metrics: Callable[[], Mapping[str, float | int]] = dict,
        max_clients: int = MAX_CLIENTS,
        histograms: Callable[[], Mapping[str, object]] = dict,
    ) -> None:
        """Prepare to serve.

        Args:
            publisher: where events come from.
            control: carries out the control verbs.
            status: returns the current status of the daemon; called for each `hello`, `status` and `describe`.
            metrics: returns counters for `metrics`, beside the publisher's own.
            max_clients: clients per socket; one more takes the place of another, or gets an `error` and is
                disconnected. The limit is per socket, so that many listeners can't keep a user from muting.
            histograms: returns what `metrics` answers under `histograms` where they are asked for.
        """
        self._shared = Shared(
            RequestHandler(publisher, control, status, lambda: {**self.metrics, **metrics()}, histograms), publisher
        )
        self._max_clients = max_clients
        self._served: dict[str, _Served] = {}
        self._watching: asyncio.Task[None] | None = None

    @property
    def metrics(self) -> dict[str, int]:
        """Counters by name."""
        places = [served.places for served in self._served.values()]
        return {
            "clients": sum(map(len, places)),
            "clients_rejected": sum(each.rejected for each in places),
            "clients_displaced": sum(each.displaced for each in places),
            "answer_bytes_waiting": self._shared.waiting.total,
        }

    @property
    def paths(self) -> list[Path]:
        """Sockets served: the event socket, then the control socket where it is a separate one."""
        return [served.listener.path for served in self._served.values()]

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
            places = divide_places(self._max_clients, len(listeners), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
            hint = None
            if len(listeners) > 1:
                hint = f"a control verb; send it to the control socket, {listeners['control'].path}."
            for name in sorted(listeners, reverse=True):
                served = _Served(listeners[name], Places(places[name]), hint if name == "events" else None)
                self._accept(served)
                self._served[name] = served
        except BaseException:
            for served in self._served.values():
                if served.acceptor is not None:
                    served.acceptor.close()
            for listener in listeners.values():
                listener.unlink()
                listener.sock.close()
            raise
        self._watching = asyncio.create_task(self._watch())

    async def close(self, timeout: float = 0.5) -> None:
        """Stop accepting, give clients `timeout` seconds to read what is queued, then disconnect them."""
        if self._watching is not None:
            self._watching.cancel()
        for served in self._served.values():
            if served.acceptor is not None:
                served.acceptor.close()
            served.listener.unlink()
        holders = [holder for served in self._served.values() for holder in served.places.holders]
        for holder in holders:
            holder.close()
        end = asyncio.get_running_loop().time() + timeout
        while self.metrics["clients"] and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.005)
        for holder in holders:
            holder.abort()
        # One iteration of the loop, in which `connection_lost` is called.
        await asyncio.sleep(0)

    def _accept(self, served: _Served) -> None:
        served.acceptor = Acceptor(
            served.listener.sock,
            lambda: Connection(self._shared, served.places, control_hint=served.hint),
            # The event socket is the first one.
            lambda: next(iter(self._served.values())).places.give_up(FREED_DESCRIPTORS, "want of descriptors"),
        )

    async def _watch(self) -> None:
        """Make socket files again that were removed: without them nobody could connect, or mute."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            for served in self._served.values():
                if served.listener.is_lost:
                    await self._bind_again(served)

    async def _bind_again(self, served: _Served) -> None:
        path = served.listener.path
        # In a thread: another daemon may hold the lock on the folder, or be slow to accept.
        making = asyncio.get_running_loop().run_in_executor(None, bind, path)
        try:
            listener = await asyncio.shield(making)
        except asyncio.CancelledError:
            making.add_done_callback(_discard)
            raise
        except SocketError as error:
            if str(error) != served.problem:
                served.problem = str(error)
                log.warning("The socket file %s was removed or replaced, and cannot be made again: %s", path, error)
            return
        if served.acceptor is not None:
            served.acceptor.close()
        served.listener, served.problem = listener, ""
        self._accept(served)
        log.warning("The socket file %s was removed or replaced; it is there again.", path)


def _discard(making: asyncio.Future[Listener]) -> None:
    """Remove a socket that was made after the server was closed."""
    if not making.cancelled() and making.exception() is None:
        making.result().unlink()
        making.result().sock.close()


def divide_places(max_clients: int, sockets: int, descriptors: int) -> dict[str, int]:
    """Return the places of each socket: `max_clients`, or fewer where the process may have few descriptors.

    Args:
        max_clients: places per socket that are wanted.
        sockets: 2 with a separate control socket.
        descriptors: how many the process may have (RLIMIT_NOFILE); may be RLIM_INFINITY.
    """
    if descriptors == resource.RLIM_INFINITY:
        descriptors = 1 << 30
    left = max(descriptors - RESERVED_DESCRIPTORS, 8)
    control = min(max_clients, max(left // 4, left - max_clients)) if sockets > 1 else 0
    events = min(max_clients, left - control)
    if events < max_clients:
        log.warning(
            "The limit of %d open files leaves room for %d clients, not %d (socket.max_clients); "
            "raise it with LimitNOFILE= in the unit, or ulimit -n.",
            descriptors,
            events,
            max_clients,
        )
    return {"events": events, "control": control or events}
