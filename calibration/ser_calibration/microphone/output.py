"""Check that a profile can be written before somebody spends a minute on its measurement."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ser_model.errors import SerError


def check_writable(path: Path) -> None:
    """Write a temporary file where a profile will be written; it is removed at once.

    Raises:
        SerError: it can't be written.
    """
    # Missing folders will be created in the nearest existing one.
    folder = next(above for above in path.absolute().parents if os.path.lexists(above))
    try:
        if path.is_dir():
            raise IsADirectoryError(0, "Is a directory")
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0" * 4096)
            file.flush()
    except OSError as error:
        raise SerError(f"{path}: cannot write this profile: {error.strerror}; choose another with --output.") from None
