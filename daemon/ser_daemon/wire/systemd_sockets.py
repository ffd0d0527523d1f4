"""Listening sockets that systemd passes.

Source: sd_listen_fds(3).
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import MutableMapping
from pathlib import Path

from ser_daemon.wire.sockets import Listener, SocketError

_FIRST_FD = 3
"""First descriptor that systemd passes: SD_LISTEN_FDS_START."""

_NAMES = ("events", "control")
"""Names of the sockets, in the order that they have without `LISTEN_FDNAMES`."""


def inherited(environ: MutableMapping[str, str] = os.environ) -> dict[str, Listener]:
    """Return the sockets that systemd passed, by their `FileDescriptorName=`; empty where it passed none.

    Without names, the first is `events` and the second `control`. The variables are removed, so that no child
    process uses them (sd_listen_fds(3)). They are ignored where `LISTEN_PID` is not this process.

    Raises:
        SocketError: one of them is not a listening Unix stream socket or has another name, or a variable is invalid.
    """
    pid, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    names = environ.pop("LISTEN_FDNAMES", "") or None
    if pid != str(os.getpid()) or count in ("", "0"):
        return {}
    # str.isdigit() is true for `²`, which int() refuses.
    if not re.fullmatch("[1-9][0-9]{0,4}", count):
        raise SocketError(f"LISTEN_FDS is {count!r:.40}; expected the number of sockets that systemd passes, 1 or 2.")
    found = list(_NAMES) if names is None else names.split(":")
    if names is None and int(count) > len(_NAMES):
        raise SocketError(f"systemd passed {count} sockets; expected 'events' and at most 'control'.")
    if names is not None and len(found) != int(count):
        raise SocketError(f"LISTEN_FDNAMES has {len(found)} names for {count} sockets; expected as many as sockets.")
    listeners: dict[str, Listener] = {}
    for fd, name in enumerate(found[: int(count)], _FIRST_FD):
        if name not in _NAMES or name in listeners:
            raise SocketError(
                f"systemd passed a socket named {name!r:.60}; expected one 'events' and at most one 'control' "
                "(FileDescriptorName= in the .socket units)."
            )
        listeners[name] = _listener_from_fd(fd, name)
    return listeners


def _listener_from_fd(fd: int, name: str) -> Listener:
    try:
        os.set_inheritable(fd, False)
        sock = socket.socket(fileno=fd)
        listening = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise SocketError(f"systemd passed {name!r}, which is no socket: {error.strerror}.") from None
    if sock.family != socket.AF_UNIX or sock.type != socket.SOCK_STREAM or not listening:
        raise SocketError(f"systemd passed {name!r}, which is no Unix socket of ListenStream=PATH.")
    sock.setblocking(False)
    return Listener(sock, Path(os.fsdecode(sock.getsockname())))
