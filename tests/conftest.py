"""Fixtures of recordings, which not every machine has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("SER_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def data() -> Path:
    """Return the folder of `ravdess/`, `noise/` and `rir/`; skip the test if there is none."""
    if not (DATA / "ravdess").is_dir():
        pytest.skip(f"no recordings at {DATA} (set SER_DATA)")
    return DATA


@pytest.fixture(scope="session")
def ravdess(data: Path) -> Path:
    """Return the folder of `Actor_NN/*.flac`."""
    return data / "ravdess"


@pytest.fixture(scope="session")
def corpora() -> Path:
    """Return the folder of the corpora with an index; skip the test if there is none."""
    if not (DATA / "corpora" / "crema-d" / "index.csv").is_file():
        pytest.skip(f"no corpora at {DATA / 'corpora'} (set SER_DATA)")
    return DATA / "corpora"
