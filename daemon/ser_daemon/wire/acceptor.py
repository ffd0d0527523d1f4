"""Accepts connections: at a bounded pace, and also when the process has no descriptor left."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
from collections.abc import Callable

from ser_daemon.wire.peer_log import LimitedLog
from ser_daemon.wire.rate_limit import LeakyBucket
from ser_daemon.wire.requests import encode_error
from ser_daemon.wire.sockets import BACKLOG

log = logging.getLogger(__name__)

ACCEPTED_AT_ONCE = 4
"""Connections accepted in one iteration of the loop, so that many new clients don't delay events."""

ACCEPTED_PER_SECOND = 500
"""Connections accepted in the long run; each costs about 0.3 ms."""

BURST = 64
"""Connections accepted without regard to that rate."""

RETRY_SECONDS = 0.05
"""Pause after a connection was refused because no descriptor was left."""

_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

_exhausted_log = LimitedLog(per_minute=1)


class Acceptor:
    """Accepts the connections of one listening socket.

    It keeps a spare descriptor. Where no other is left, it can still accept a client, give it the reason, and close.
    """

    def __init__(
        self, sock: socket.socket, connect: Callable[[], asyncio.BaseProtocol], make_room: Callable[[], bool]
    ) -> None:
        """Start to accept.

        Args:
            sock: a non-blocking listening socket; closed by `close`.
            connect: makes the protocol of a connection.
            make_room: disconnects a client that is less important than one of this socket, because no descriptor is
                left; returns False where there is none.
        """
        self._sock = sock
        self._connect = connect
        self._make_room = make_room
        self._loop = asyncio.get_running_loop()
        self._bucket = LeakyBucket(BURST, ACCEPTED_PER_SECOND)
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._spare: int | None = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        sock.listen(BACKLOG)
        self._loop.add_reader(sock, self._accept)

    def close(self) -> None:
        """Accept no more, and close the listening socket. Can be called again."""
        if self._sock.fileno() < 0:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()
        self._release_spare()

    def _accept(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            if self._bucket.is_full(self._loop.time()):
                self._pause(BURST / ACCEPTED_PER_SECOND / 4)
                return
            try:
                client, _ = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                self._exhausted(error)
                return
            self._bucket.add()
            client.setblocking(False)
            task = self._loop.create_task(self._serve(client))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: socket.socket) -> None:
        await self._loop.connect_accepted_socket(self._connect, client)

    def _exhausted(self, error: OSError) -> None:
        """Make room for a client that cannot be accepted, or refuse it."""
        _exhausted_log.log(
            log,
            logging.WARNING,
            f"Cannot accept a client: {error.strerror}. Idle subscribers are disconnected, and fewer get a place "
            "from now on; raise the limit of open files (LimitNOFILE=, ulimit -n), or lower socket.max_clients.",
        )
        # A client that makes room is gone in the next iteration of the loop.
        if not self._make_room():
            self._refuse()
        self._pause(RETRY_SECONDS)

    def _refuse(self) -> None:
        self._release_spare()
        with contextlib.suppress(OSError):
            client, _ = self._sock.accept()
            with client:
                client.setblocking(False)
                client.send(encode_error("too-many-clients", "The daemon has no descriptor left for one more client."))
        with contextlib.suppress(OSError):
            self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def _release_spare(self) -> None:
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None

    def _pause(self, seconds: float) -> None:
        """Accept nothing for a while: a listening socket with a waiting client would wake the loop without end."""
        self._loop.remove_reader(self._sock)
        self._timer = self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        self._loop.add_reader(self._sock, self._accept)
