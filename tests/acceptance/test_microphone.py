"""Speech into a microphone reaches a subscriber: each utterance once, complete, and at its time."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import groupby

import numpy as np
import pytest

from ser_model import read_audio
from ser_model.audio.gate import Gate
from ser_model.types import SAMPLE_RATE, Block, SpeechEnded, SpeechStarted
from support.daemon import WAIT, Daemon, Message, numbered, wait_for
from support.pulse import PulseAudio, virtual_microphone
from support.session import Session, seed

pytestmark = pytest.mark.usefixtures("minute")

TOLERANCE_MS = 150
"""Bound for the error of a published boundary."""

PARTIAL_FROM_MS = 1000
"""Voiced time from which there must be a partial answer."""


@pytest.fixture
def pulse() -> Iterator[PulseAudio]:
    with virtual_microphone() as server:
        yield server


def start_playing(pulse: PulseAudio, session: Session) -> subprocess.Popen[bytes]:
    """Play with a buffer that is large enough for a busy machine. A gap would shift the true positions."""
    command = ["paplay", "--device=mic", "--latency-msec=1000", str(session.path)]
    return subprocess.Popen(command, env=pulse.environment, stdin=subprocess.DEVNULL)


def boundaries_from_the_file(session: Session) -> list[float]:
    """Return the starts and ends in ms that the same gate finds in the file."""
    gate = Gate()
    events = gate.push(Block(read_audio(session.path), 0)) + gate.finish()
    places = [
        event.onset if isinstance(event, SpeechStarted) else event.offset
        for event in events
        if isinstance(event, SpeechStarted | SpeechEnded)
    ]
    return [place * 1000 / SAMPLE_RATE for place in places]


def wall_zero(event: Message) -> float:
    """Return the wall time of the sample clock's zero, from the two times of an event."""
    data = event["data"]
    return datetime.fromisoformat(data["time"]).timestamp() - float(data["timestamp"]) / 1000


@pytest.mark.slow
def test_eight_recordings_are_eight_utterances_at_their_time(pulse: PulseAudio, session: Session) -> None:
    print(f"seed {seed()} (SER_TEST_SEED): {', '.join(each.name for each in session.spoken)}")
    with Daemon("--mic", "default", environment=pulse.environment) as daemon:
        client, control = daemon.subscribe(), daemon.controller()
        wait_for(lambda: control.request("status")["data"]["state"] == "listening")
        begun = time.time()
        assert start_playing(pulse, session).wait(session.seconds + WAIT) == 0
        ended = time.time()
        position = control.request("status")["data"]["timestamp"]
        # After 2 s more, all audio is processed, and an utterance that is still open would be an error.
        wait_for(lambda: control.request("status")["data"]["timestamp"] > position + 2000)
        metrics = control.request("metrics")["data"]
        daemon.signal(signal.SIGTERM)
        events = client.rest()
        assert daemon.wait() == 0
    assert (metrics["samples_missing"], metrics["overflows"]) == (0, 0)
    assert list(numbered(events)) == list(range(client.hello["data"]["seq"] + 1, events[-1]["data"]["seq"] + 1))
    assert not any("dropped" in event["data"] for event in events)

    of_utterances = [event for event in events if event["type"] != "audio-state"]
    utterances = [list(group) for _, group in groupby(of_utterances, key=lambda event: event["data"]["utterance_id"])]
    assert [events[0]["data"]["utterance_id"] for events in utterances] == [f"u-{number}" for number in range(1, 9)]
    for utterance in utterances:
        check_utterance(utterance)
    check_times(utterances, session, begun, ended)


def check_utterance(events: list[Message]) -> None:
    """Assert the events of an utterance: start, partial answers, one final answer, end."""
    assert [event["type"] for event in events] == ["voice-started", *["emotion"] * (len(events) - 2), "voice-stopped"]
    emotions = [event["data"] for event in events[1:-1]]
    assert [emotion["final"] for emotion in emotions] == [False] * (len(emotions) - 1) + [True]
    assert len(emotions) > 1 or emotions[-1]["voiced_ms"] < PARTIAL_FROM_MS
    assert (emotions[-1]["start"], emotions[-1]["end"]) == (
        events[0]["data"]["timestamp"],
        events[-1]["data"]["timestamp"],
    )


def check_times(utterances: list[list[Message]], session: Session, begun: float, ended: float) -> None:
    """Compare starts and ends with the true positions, on the sample clock and on the wall clock."""
    published = np.array([events[at]["data"]["timestamp"] for events in utterances for at in (0, -1)], float)
    true = np.array([position for spoken in session.spoken for position in (spoken.start, spoken.end)])
    # The start of playing on the sample clock is estimated from the boundaries that the same gate finds in the file.
    # With the true boundaries, a constant error of the gate would look like a delay.
    from_file = boundaries_from_the_file(session)
    assert len(from_file) == len(published)
    zero = float(np.median(published - from_file))
    errors = published - zero - true
    for spoken, (start, end) in zip(session.spoken, errors.reshape(-1, 2), strict=True):
        print(f"{spoken.name}  start {start:+5.0f} ms  end {end:+5.0f} ms")

    playing_began = wall_zero(utterances[0][0]) + zero / 1000
    print(f"playing began {playing_began - begun:.3f} s after its start; it took {ended - begun:.3f} s")
    # Playing began after the player was started and ended before it ended. The 0.25 s allow for buffers: a virtual
    # sink passes samples to its monitor a little early, and a capture stream a little late.
    assert begun - 0.25 < playing_began < ended - session.seconds + 0.25
    assert np.abs(errors).max() <= TOLERANCE_MS
