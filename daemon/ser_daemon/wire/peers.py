"""Who is at the other end of a Unix socket (SO_PEERCRED, unix(7))."""

from __future__ import annotations

import select
import socket
import struct
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Peer:
    """A process, and the user that it ran as when it connected or called listen; -1 where that is unknown."""

    pid: int = -1
    uid: int = -1

    def __str__(self) -> str:
        """Describe it: `process 4711 of user 1000`."""
        return "an unknown process" if self.pid <= 0 else f"process {self.pid} of user {self.uid}"


def peer_of(sock: socket.socket) -> Peer:
    """Return the process at the other end."""
    try:
        found = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("iII"))
    except OSError:
        return Peer()
    pid, uid, _gid = struct.unpack("iII", found)
    return Peer(pid, uid)


def is_gone(sock: socket.socket) -> bool:
    """Return whether the other end has closed both directions, also where nothing is read from the socket."""
    poll = select.poll()
    # No event is requested. POLLHUP is always reported, and comes only once both directions are closed.
    poll.register(sock, 0)
    return bool(poll.poll(0))
