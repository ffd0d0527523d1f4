"""Listening Unix sockets that the daemon creates itself.

Sources: unix(7), socket(7).
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

from ser_daemon.paths import MAX_PATH
from ser_daemon.wire.peers import peer_of
from ser_daemon.wire.socket_folder import SocketError, locked, require_folder

__all__ = ["BACKLOG", "Listener", "SocketError", "bind", "holder"]

BACKLOG = 512
"""Connections that may wait to be accepted: more than the limit of clients, so that a burst gets no EAGAIN."""


@dataclass(slots=True)
class Listener:
    """A listening socket and its file."""

    sock: socket.socket
    path: Path
    identity: tuple[int, int] | None = None
    """Device and inode of the file that `bind` made; None for a socket from systemd, whose file must stay."""

    @property
    def is_lost(self) -> bool:
        """Whether the socket file was removed or replaced. One from systemd never is: systemd would make it again."""
        return self.identity is not None and _identity(self.path) != self.identity

    def unlink(self) -> None:
        """Remove the socket file, unless another process has replaced it."""
        if self.identity is not None and not self.is_lost:
            with contextlib.suppress(OSError):
                os.unlink(self.path)


def bind(path: Path, mode: int = 0o600) -> Listener:
    """Listen on a path.

    A socket file that no process listens on is replaced. The default runtime folder is created where it is
    missing.

    Args:
        path: absolute or relative, at most 107 bytes.
        mode: permissions of the socket file; connecting needs write permission.

    Raises:
        SocketError: the path is too long, its folder is missing, not writable or writable for others, another process
            listens there, or a file that is no socket has the name.
    """
    length = len(os.fsencode(path))
    if length > MAX_PATH:
        raise SocketError(
            f"The socket path {path} is {length} bytes long; Linux allows {MAX_PATH}. "
            "Choose a shorter one with --socket."
        )
    require_folder(path.parent)
    with locked(path.parent):
        _remove_stale(path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # Linux makes the file with the mode of the socket. A chmod of the path could hit a file that another user
            # has put in its place, and the umask is the whole process's.
            os.fchmod(sock.fileno(), mode)
            sock.bind(os.fspath(path))
            # Inside the lock: to another daemon, a socket that doesn't listen yet would look stale.
            sock.listen(BACKLOG)
        except OSError as error:
            sock.close()
            raise SocketError(
                f"Cannot listen on {path}: {error.strerror or error}; choose another place with --socket."
            ) from None
        identity = _identity(path)
    sock.setblocking(False)
    return Listener(sock, path, identity)


def holder(path: Path) -> str | None:
    """Name the process that listens on a socket file, `process 4711 (ser-daemon)`; None where none does.

    Raises:
        SocketError: connecting is not permitted, so the answer is unknown.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return None
        except (BlockingIOError, TimeoutError):
            return "another process, which is too busy to answer"
        except OSError as error:
            raise SocketError(
                f"Cannot tell whether {path} is in use: {error.strerror or error}; choose another --socket."
            ) from None
        pid = peer_of(probe).pid
    if pid <= 0:
        return "another process"
    name = ""
    with contextlib.suppress(OSError):
        name = f" ({Path(f'/proc/{pid}/comm').read_text().strip()})"
    return f"process {pid}{name}"


def _identity(path: Path) -> tuple[int, int]:
    """Return device and inode of a file; (-1, -1) where there is none."""
    try:
        found = os.lstat(path)
    except OSError:
        return -1, -1
    return found.st_dev, found.st_ino


def _remove_stale(path: Path) -> None:
    """Remove a stale socket; refuse to remove anything else."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise SocketError(f"Cannot listen on {path}: {error.strerror}.") from None
    if not stat.S_ISSOCK(found.st_mode):
        raise SocketError(f"{path} exists and is no socket; remove it or choose another --socket.")
    process = holder(path)
    if process is not None:
        raise SocketError(f"The socket {path} is held by {process}; stop it or choose another --socket.")
    try:
        os.unlink(path)
    except OSError as error:
        raise SocketError(f"Cannot remove the stale socket {path}: {error.strerror}.") from None
