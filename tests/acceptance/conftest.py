"""Speech for whole-system tests."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser_daemon.cli.demo import bundled_recording
from support.session import Session, compose, draw, seed
from support.trace import SECONDS, Minute, Trace, why_not


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
        return bundled_recording()
    return found.path


@pytest.fixture(scope="session")
def minute(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Future[Minute] | None]:
    """A minute of speech under strace, for `traces`; others that ask for it are run while it goes by."""
    wanted = any("traces" in getattr(item, "fixturenames", ()) for item in request.session.items)
    if not wanted or why_not() is not None:
        yield None
        return
    folder = tmp_path_factory.mktemp("minute")
    samples, rate = soundfile.read(request.getfixturevalue("speech"), dtype="int16")
    soundfile.write(folder / "minute.wav", np.resize(samples, SECONDS * rate), rate)
    begun: Future[Minute] = Future()
    with ExitStack() as stack:
        try:
            begun.set_result(Minute(folder / "minute.wav", folder, stack))
        except Exception as error:  # to be raised where it matters, not in all tests
            begun.set_exception(error)
        yield begun


@pytest.fixture(scope="session")
def traces(minute: Future[Minute] | None) -> dict[str, Trace]:
    """What `Minute` found."""
    if minute is None:
        pytest.skip(str(why_not()))
    return minute.result().end()
