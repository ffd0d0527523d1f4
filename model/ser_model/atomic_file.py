"""Writing a file in one step: a reader finds the old file or the new one, also after a crash or on a full disk."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def replace_file(path: Path, content: str | bytes, mode: int = 0o644) -> None:
    """Write a file in one step, see `open_atomic`; text is encoded as UTF-8."""
    with open_atomic(path, mode) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def open_atomic(path: Path, mode: int = 0o644) -> Iterator[BinaryIO]:
    """Open a temporary file that takes the place of `path` when the block ends; folders above it are made.

    Args:
        path: of the file.
        mode: its permissions. By default anybody may read it, as the system service runs as its own user.

    Raises:
        OSError: there is no space or no permission. The old file is unchanged, as after any error in the block.
    """
    # Not above: it brings compression and more, and most runs write nothing.
    import tempfile

    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
