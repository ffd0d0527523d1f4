"""Where the tests find what not every machine has: recordings, a sound server, root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("SER_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session", autouse=True)
def _own_homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nobody's settings and state are read or changed by tests, whoever runs them."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
            patch.setenv(name, str(folder / name.split("_")[1].lower()))
        yield


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
