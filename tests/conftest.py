"""Fixtures of recordings, which not every machine has."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.browser import Browser, missing

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("SER_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session", autouse=True)
def own_folders() -> Iterator[None]:
    """Give the tests and all that they start their own settings and state, whatever this user has."""
    settings = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", f"{folder}/config")
        patch.setenv("XDG_STATE_HOME", f"{folder}/state")
        # Where packages come from remains this user's choice.
        if "PIP_CONFIG_FILE" not in os.environ and (settings / "pip/pip.conf").is_file():
            patch.setenv("PIP_CONFIG_FILE", str(settings / "pip/pip.conf"))
        yield


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


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Return a headless Chromium; skip the test if there is none."""
    if lack := missing():
        pytest.skip(lack)
    with Browser() as one:
        yield one
