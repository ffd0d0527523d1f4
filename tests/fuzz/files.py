"""Files, and what else can have a file's name."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

SPARSE = 4 << 30
"""Length in bytes of a sparse file; it takes no room on the disk."""


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A new folder, removed at the end."""
    path = Path(tempfile.mkdtemp(prefix="fuzz"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def place(path: Path, kind: str, content: bytes) -> None:
    """Make a file, or what the kind says, at a path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    match kind:
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "zeros":
            path.symlink_to("/dev/zero")
        case "sparse":
            path.write_bytes(content)
            os.truncate(path, SPARSE)
        case "dangling":
            path.symlink_to(path.parent / "nowhere")
        case "loop":
            path.symlink_to(path)
        case "empty":
            path.touch()
        case "file":
            path.write_bytes(content)


def edit(content: bytes, edits: list[tuple[str, int, bytes]]) -> bytes:
    """Change bytes: each edit names what is done, where (modulo the length), and with which bytes."""
    data = bytearray(content)
    for action, where, given in edits:
        at = where % (len(data) + 1)
        match action:
            case "put":
                data[at : at + len(given)] = given
            case "insert":
                data[at:at] = given
            case "cut":
                del data[at : at + len(given)]
            case "end":
                del data[at:]
            case "repeat":
                data[at:at] = data[at : at + 64] * min(len(given) * 8, 64)
    return bytes(data)
