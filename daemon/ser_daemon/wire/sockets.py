"""Listening Unix sockets: created here, or passed by systemd.

Sources: unix(7), socket(7), flock(2), sd_listen_fds(3).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
import struct
import time
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from pathlib import Path

from ser_daemon.paths import MAX_PATH, runtime_directory
from ser_model.errors import SerError

BACKLOG = 512
"""Connections that may wait to be accepted: more than the limit of clients, so that a burst gets no EAGAIN."""

_FIRST_FD = 3
"""First descriptor that systemd passes: SD_LISTEN_FDS_START."""

_LOCK_SECONDS = 2.0
"""Longest wait for the lock on the folder of a socket."""


class SocketError(SerError):
    """Listening on a socket is not possible."""


@dataclass(slots=True)
class Listener:
    """A listening socket and its file."""

    sock: socket.socket
    path: Path
    identity: tuple[int, int] | None = None
    """Device and inode of the file that `bind` made; None for a socket from systemd, whose file must stay."""

    def unlink(self) -> None:
        """Remove the socket file, unless another process has replaced it."""
        with contextlib.suppress(OSError):
            found = os.lstat(self.path)
            if (found.st_dev, found.st_ino) == self.identity:
                os.unlink(self.path)


def bind(path: Path, mode: int = 0o600) -> Listener:
    """Listen on a path.

    A socket file that no process listens on is replaced. The default runtime folder is created where it is
    missing.

    Args:
        path: absolute or relative, at most 107 bytes.
        mode: permissions of the socket file; connecting needs write permission.

    Raises:
        SocketError: the path is too long, its folder is missing or not writable, another process listens
            there, or a file that is no socket has the name.
    """
    length = len(os.fsencode(path))
    if length > MAX_PATH:
        raise SocketError(
            f"The socket path {path} is {length} bytes long; Linux allows {MAX_PATH}. "
            "Choose a shorter one with --socket."
        )
    _require_folder(path.parent)
    with _locked(path.parent, path):
        _remove_stale(path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.bind(os.fspath(path))
            # Before listen(): until then nobody can connect, whatever the umask allowed.
            os.chmod(path, mode)
            # Inside the lock: to another daemon, a socket that doesn't listen yet would look stale.
            sock.listen(BACKLOG)
            found = os.lstat(path)
        except OSError as error:
            sock.close()
            raise SocketError(f"Cannot listen on {path}: {error.strerror or error}.") from None
    sock.setblocking(False)
    return Listener(sock, path, (found.st_dev, found.st_ino))


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
        pid = peer_pid(probe)
    if not pid:
        return "another process"
    name = ""
    with contextlib.suppress(OSError):
        name = f" ({Path(f'/proc/{pid}/comm').read_text().strip()})"
    return f"process {pid}{name}"


def peer_pid(sock: socket.socket) -> int:
    """Return the process id of the peer (SO_PEERCRED: which connected, or called listen); 0 if unknown."""
    size = struct.calcsize("3i")
    try:
        pid, _uid, _gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    except OSError:
        return 0
    return int(pid)


def inherited(environ: MutableMapping[str, str] = os.environ) -> dict[str, Listener]:
    """Return the sockets that systemd passed, by their `FileDescriptorName=`; empty where it passed none.

    Without names, the first is `events` and the second `control`. The variables are removed, so that no child
    process uses them (sd_listen_fds(3)).

    Raises:
        SocketError: one of them is not a listening Unix stream socket, or has another name.
    """
    pid, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    names = [name for name in environ.pop("LISTEN_FDNAMES", "").split(":") if name]
    if pid != str(os.getpid()) or not count.isdigit():
        return {}
    listeners: dict[str, Listener] = {}
    for index in range(int(count)):
        name = names[index] if names else ("events", "control")[index] if index < 2 else "unnamed"
        if name not in ("events", "control") or name in listeners:
            raise SocketError(
                f"systemd passed a socket named {name!r}; expected one 'events' and at most one 'control' "
                "(FileDescriptorName= in the .socket units)."
            )
        os.set_inheritable(_FIRST_FD + index, False)
        listeners[name] = _listener_from_fd(_FIRST_FD + index, name)
    return listeners


def _listener_from_fd(fd: int, name: str) -> Listener:
    try:
        sock = socket.socket(fileno=fd)
        listening = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise SocketError(f"systemd passed {name!r}, which is no socket: {error.strerror}.") from None
    if sock.family != socket.AF_UNIX or sock.type != socket.SOCK_STREAM or not listening:
        raise SocketError(f"systemd passed {name!r}, which is no Unix socket of ListenStream=PATH.")
    sock.setblocking(False)
    return Listener(sock, Path(os.fsdecode(sock.getsockname())))


def _require_folder(folder: Path) -> None:
    if folder == runtime_directory():
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SocketError(
                f"Cannot create the socket folder {folder}: {error.strerror}; choose another place with --socket."
            ) from None
    if not folder.is_dir():
        raise SocketError(f"The socket folder {folder} does not exist; create it or choose another --socket.")


@contextlib.contextmanager
def _locked(folder: Path, path: Path) -> Iterator[None]:
    """Keep other daemons from checking the sockets in the folder while one of them is replaced."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise SocketError(f"Cannot listen on {path}: {error.strerror}.") from None
    try:
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise SocketError(f"Another process keeps the folder {folder} locked.") from None
                time.sleep(0.02)
        yield
    finally:
        os.close(fd)


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
