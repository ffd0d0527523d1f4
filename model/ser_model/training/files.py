"""Reading the files of a run, and writing each in one step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from ser_model.atomic_file import open_atomic, replace_file
from ser_model.errors import SerError
from ser_model.small_file import UnreadableFileError, read_small_file

MAX_BYTES: Final = 64 << 20


def write_json(path: Path, value: object, indent: int = 1) -> None:
    """Write a value as JSON."""
    replace_file(path, json.dumps(value, indent=indent))


def write_arrays(path: Path, **arrays: object) -> None:
    """Write arrays as an uncompressed NPZ file."""
    with open_atomic(path) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def read_json(path: Path) -> Any:
    """Read a JSON file of a run; `None` if it is missing.

    Raises:
        SerError: It is not JSON, no regular file, or larger than 64 MiB.
    """
    if not path.exists():
        return None
    try:
        return json.loads(read_small_file(path, MAX_BYTES))
    except UnreadableFileError as error:
        raise SerError(f"{path}: cannot be read: {error}") from error
    except (ValueError, RecursionError) as error:
        raise SerError(f"{path}: is damaged ({error}); measure it again") from error
