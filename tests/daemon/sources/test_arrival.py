"""Whether a microphone may have come back, seen without PortAudio; against a real sound server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from ser_daemon.sources.arrival import Arrivals
from support.pulse import PulseAudio, virtual_microphone

LOOK = """
import sys
from ser_daemon.sources.arrival import Arrivals
arrivals = Arrivals()
for line in sys.stdin:
    print(arrivals.look(line.strip()), flush=True)
"""


@pytest.fixture
def pulse() -> Iterator[PulseAudio]:
    with virtual_microphone() as server:
        yield server


def test_what_comes_in_the_sound_server_is_seen_once(pulse: PulseAudio) -> None:
    looker = subprocess.Popen(
        [sys.executable, "-c", LOOK],
        env=pulse.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert looker.stdin is not None
    assert looker.stdout is not None

    def look() -> bool:
        assert looker.stdin is not None
        assert looker.stdout is not None
        looker.stdin.write("default\n")
        looker.stdin.flush()
        return looker.stdout.readline() == "True\n"

    look()
    pulse.unload_sink("mic")
    assert [look(), look()] == [False, False]
    pulse.load_sink("mic")
    assert [look(), look()] == [True, False]
    pulse.stop()
    assert not look()
    looker.stdin.close()
    assert looker.wait(20) == 0


def test_a_name_that_nothing_answers_to_never_arrives() -> None:
    arrivals = Arrivals()
    arrivals.look("no such microphone")
    assert not arrivals.look("no such microphone")
    assert not arrivals.look("")
