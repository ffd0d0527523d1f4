"""Speech for whole-system tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from ser_daemon.demo import recording
from support.session import Session, compose, draw, seed


@pytest.fixture(scope="session")
def session(ravdess: Path, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """Eight recordings, one per emotion; skipped where there are none."""
    path: Path = tmp_path_factory.mktemp("session") / "session.wav"
    return compose(draw(ravdess, seed()), path)


@pytest.fixture(scope="session")
def speech(request: pytest.FixtureRequest) -> Path:
    """An audio file with several utterances: the session, or the bundled recording where there is none."""
    try:
        found: Session = request.getfixturevalue("session")
    except pytest.skip.Exception:
        return recording()
    return found.path
