"""Reads a whole file whose size is bounded, and nothing that is no file."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from ser_model.errors import SerError

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class UnreadableFileError(SerError):
    """A file cannot be read. The text is the reason, without the path."""


def read_small_file(path: Path, most_bytes: int) -> bytes:
    """Return the content of a regular file.

    Reading a named pipe could wait without end, and a device such as `/dev/zero` has no end.

    Args:
        path: The file; links are followed.
        most_bytes: Size up to which the file is read.

    Raises:
        UnreadableFileError: There is no such file, it is no regular file, it is too large, or it cannot be read.
    """
    try:
        with open_regular_file(path) as file:
            content = file.read(most_bytes + 1)
    except OSError as error:
        raise UnreadableFileError(_reason(path, error)) from None
    except ValueError:
        raise UnreadableFileError("its name holds a NUL character") from None
    if len(content) > most_bytes:
        raise UnreadableFileError(f"it is larger than {_size(most_bytes)}")
    return content


def open_regular_file(path: Path) -> BinaryIO:
    """Open a regular file for reading.

    Raises:
        UnreadableFileError: It is no regular file. The text is the reason, without the path.
        OSError: It cannot be opened.
    """
    # Opening a device can have an effect of its own, so its kind is found out before.
    _check_kind(os.stat(path))
    # Without O_NONBLOCK, opening a named pipe that has just taken the file's place would wait for a writer.
    file = open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY), "rb")  # noqa: SIM115
    try:
        _check_kind(os.fstat(file.fileno()))
    except BaseException:
        file.close()
        raise
    return file


def _check_kind(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise UnreadableFileError(f"it is {kind}, no file")


def _reason(path: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError) and os.path.islink(path):
        return "it is a link to something that does not exist"
    return error.strerror or str(error)


def _size(count: int) -> str:
    return f"{count >> 10} KiB" if count < 1 << 20 else f"{count >> 20} MiB"
