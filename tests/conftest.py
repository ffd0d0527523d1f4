"""Fixtures of recordings, which not every machine has."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from support.browser import Browser, missing

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("SER_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session", autouse=True)
def own_folders() -> Iterator[None]:
    """Give the tests and all that they start their own settings, state and sockets, whatever this user has.

    Each worker has others, so two daemons with the default socket do not meet.
    """
    settings = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", f"{folder}/config")
        patch.setenv("XDG_STATE_HOME", f"{folder}/state")
        Path(folder, "run").mkdir(mode=0o700)
        patch.setenv("XDG_RUNTIME_DIR", f"{folder}/run")
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


@pytest.fixture(autouse=True)
def turn(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Where several workers run, let a test that is marked `alone` run while no other does."""
    if not hasattr(request.config, "workerinput"):
        yield
        return
    kind = fcntl.LOCK_EX if request.node.get_closest_marker("alone") else fcntl.LOCK_SH
    folder = tmp_path_factory.getbasetemp().parent
    with (folder / "queue").open("w") as queue, (folder / "running").open("w") as running:
        # Who waits keeps the queue, so that nobody overtakes a test that waits for all others.
        fcntl.flock(queue, fcntl.LOCK_EX)
        fcntl.flock(running, kind)
        fcntl.flock(queue, fcntl.LOCK_UN)
        yield
        # A child of a test may have the same open file.
        fcntl.flock(running, fcntl.LOCK_UN)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file on one worker, and all that boot a system on one, where several workers run."""
    for item in items:
        folder = item.path.parent
        name = "system" if folder.name == "system" else str(item.path)
        item.add_marker(pytest.mark.xdist_group(name))


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, object, object]:
    """Escape what no encoding has, as in file names that are no UTF-8, so that a worker can send what it captured."""
    return _encodable((yield))


def _encodable(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {name: _encodable(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_encodable(one) for one in value)
    return value
