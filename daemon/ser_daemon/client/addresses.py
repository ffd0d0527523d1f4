"""Where a client connects to, and why it could not."""

from __future__ import annotations

import errno
import grp
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from ser_daemon.client.wire import NotAllowed, NotRunning
from ser_daemon.paths import MAX_PATH, SYSTEM_SOCKET, candidate_sockets, control_socket
from ser_daemon.wire.protocol import CONTROL_VERBS
from ser_model.errors import SerError

_log = logging.getLogger(__name__)


def socket_paths(path: Path | None, request: str | None = None) -> list[Path]:
    """Return the sockets to try, in order. A control verb goes to the control socket beside each, where there is one.

    Args:
        path: the socket chosen by the user; None: the usual ones.
        request: what is to be asked; None for a stream.

    Raises:
        SerError: the path is not possible for a socket.
    """
    paths = candidate_sockets(path)
    for candidate in paths:
        length = len(os.fsencode(candidate))
        if candidate.name in ("", ".."):
            raise SerError(f'"{candidate}" is no path of a socket; name the daemon\'s, or leave it out.')
        if length > MAX_PATH:
            raise SerError(f"The socket path {candidate} is {length} bytes long; Linux allows {MAX_PATH}.")
    if request not in CONTROL_VERBS:
        _log.debug("Sockets to try: %s", ", ".join(map(str, paths)))
        return paths
    beside = [control_socket(candidate) for candidate in paths]
    paths = [control if control.exists() else path for path, control in zip(paths, beside, strict=True)]
    _log.debug("Control sockets to try: %s", ", ".join(map(str, paths)))
    return paths


def connection_error(failures: Sequence[tuple[Path, OSError]]) -> SerError:
    """Make the error that explains why no socket could be connected to, and what to do."""
    for path, error in failures:
        if error.errno in (errno.EACCES, errno.EPERM):
            hint = "ask its owner"
            if path.parent == SYSTEM_SOCKET.parent:
                hint = f"join its group: sudo usermod -aG {_group(path)} $USER, then log in again"
            return NotAllowed(f"You may not connect to {path}; {hint}.")
    tried = " or ".join(str(path) for path, _ in failures)
    return NotRunning(
        f"No daemon is running: nobody listens on {tried}. Start one with `ser-daemon --mic default`, "
        "`systemctl --user start ser-daemon` or `sudo systemctl start ser-daemon`."
    )


def _group(path: Path) -> str:
    """Name the group that may connect to a socket; the control socket has a group of its own."""
    try:
        return grp.getgrgid(path.stat().st_gid).gr_name
    except (OSError, KeyError):
        return "ser"
