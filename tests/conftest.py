"""Where the tests find what not every machine has: recordings, a sound server, root."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("SER_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder with `ravdess/`, `noise/` and `rir/`; the test is skipped where there is none."""
    if not (DATA / "ravdess").is_dir():
        pytest.skip(f"no recordings at {DATA} (set SER_DATA)")
    return DATA


@pytest.fixture(scope="session")
def ravdess(data: Path) -> Path:
    """Folder of `Actor_NN/*.flac`."""
    return data / "ravdess"
