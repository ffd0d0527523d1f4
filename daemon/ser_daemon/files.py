"""Files that are whole or not there: settings and state survive a crash, and a full disk."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path


def replace_file(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file, and the folders above it, in one step: a reader finds the old file or the new one.

    Args:
        path: of the file.
        text: all of it.
        mode: its permissions; by default anybody may read it, as the system service runs as a user of its own.

    Raises:
        OSError: There is no place or no permission for it; the old file is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
