"""Writing the files of a run, each in one step."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ser_model.atomic_file import open_atomic, replace_file


def write_json(path: Path, value: object, indent: int = 1) -> None:
    """Write a value as JSON."""
    replace_file(path, json.dumps(value, indent=indent))


def write_arrays(path: Path, **arrays: object) -> None:
    """Write arrays as an uncompressed NPZ file."""
    with open_atomic(path) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
