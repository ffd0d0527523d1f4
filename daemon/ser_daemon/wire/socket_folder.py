"""The folder of a socket: made where it is the default, refused where others could replace the socket, and locked.

Sources: unix(7), flock(2), path_resolution(7).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from ser_daemon.paths import lock_directory, runtime_directory
from ser_model.errors import SerError

_LOCK_SECONDS = 2.0
"""Longest wait for another daemon that starts at the same moment."""


class SocketError(SerError):
    """Listening on a socket is not possible."""


def require_folder(folder: Path) -> None:
    """Check the folder of a socket; the default one is created where it is missing.

    Raises:
        SocketError: it is missing, or other users could replace the socket in it.
    """
    if folder == runtime_directory():
        _make_private(folder, "socket folder")
    try:
        found = os.stat(folder)
    except OSError:
        found = None
    if found is None or not stat.S_ISDIR(found.st_mode):
        raise SocketError(f"The socket folder {folder} does not exist; create it or choose another --socket.")
    # A group of one's own is usual, and such a folder then writable for the group.
    others = stat.S_IWOTH if found.st_gid == os.getegid() else stat.S_IWOTH | stat.S_IWGRP
    if found.st_mode & others and not found.st_mode & stat.S_ISVTX:
        raise SocketError(
            f"Other users may write to the socket folder {folder} and could replace the socket there; "
            "choose another --socket, or take the permission away (chmod go-w)."
        )


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other daemons of this user from checking the sockets in a folder while one of them is replaced.

    The lock is on a folder that only this user can open: any other user could hold it for ever.

    Raises:
        SocketError: there is no such folder, or another process keeps it locked.
    """
    private = folder if _is_private(folder) else lock_directory()
    if private != folder:
        _make_private(private.parent, "runtime folder")
        _make_private(private, "folder for the start lock")
        if not _is_private(private):
            raise SocketError(f"The folder {private} must be yours and closed to others; remove it, or chmod 700 it.")
    try:
        fd = os.open(private, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise SocketError(f"Cannot lock the folder {private}: {error.strerror}.") from None
    try:
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise SocketError(f"Another process keeps the folder {private} locked.") from None
                time.sleep(0.02)
        yield
    finally:
        os.close(fd)


def _is_private(folder: Path) -> bool:
    """Whether only this user can open a folder."""
    try:
        found = os.lstat(folder)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not stat.S_IMODE(found.st_mode) & 0o077


def _make_private(folder: Path, name: str) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SocketError(
            f"User {os.geteuid()} cannot create the {name} {folder}: {error.strerror}; "
            "choose another place with --socket."
        ) from None
