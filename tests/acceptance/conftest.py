"""Speech for tests of the whole system."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import soundfile

from support.session import Session, choose_recordings, seed, write_session
from support.speech import SYNTHETIC_SPEECH
from support.trace import SECONDS, Trace, TracedMinute, unavailable_reason


@pytest.fixture(scope="session")
def session(ravdess: Path, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """Return a session of eight recordings, one per emotion; skip the test without recordings."""
    path: Path = tmp_path_factory.mktemp("session") / "session.wav"
    return write_session(choose_recordings(ravdess, seed()), path)


@pytest.fixture(scope="session")
def speech(request: pytest.FixtureRequest) -> Path:
    """Return a file with several utterances: the session, or the synthetic recording without recordings."""
    try:
        found: Session = request.getfixturevalue("session")
    except pytest.skip.Exception:
        return SYNTHETIC_SPEECH
    return found.path


@pytest.fixture(scope="session")
def minute(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Future[TracedMinute] | None]:
    """Start a minute of speech under strace, for `traces`. Tests that use this fixture run meanwhile."""
    wanted = any("traces" in getattr(item, "fixturenames", ()) for item in request.session.items)
    if not wanted or unavailable_reason() is not None:
        yield None
        return
    folder = tmp_path_factory.mktemp("minute")
    samples, rate = soundfile.read(request.getfixturevalue("speech"), dtype="int16")
    soundfile.write(folder / "minute.wav", np.resize(samples, SECONDS * rate), rate)
    started: Future[TracedMinute] = Future()
    with ExitStack() as stack:
        try:
            started.set_result(TracedMinute(folder / "minute.wav", folder, stack))
        except Exception as error:  # raised in the tests that use `traces` only
            started.set_exception(error)
        yield started


@pytest.fixture(scope="session")
def traces(minute: Future[TracedMinute] | None) -> dict[str, Trace]:
    """Return the traces of `TracedMinute`."""
    if minute is None:
        pytest.skip(str(unavailable_reason()))
    return minute.result().end()
