"""What is said into a microphone reaches a subscriber: every utterance, once, whole, at its time."""

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
"""Between a boundary as published and the truth."""

PARTIAL_FROM_MS = 1000
"""Voiced time from which there must have been time for an update."""


@pytest.fixture
def pulse() -> Iterator[PulseAudio]:
    with virtual_microphone() as server:
        yield server


def start_playing(pulse: PulseAudio, session: Session) -> subprocess.Popen[bytes]:
    """Speak with a buffer that a busy machine does not let run dry: a gap would make the truth untrue."""
    command = ["paplay", "--device=mic", "--latency-msec=1000", str(session.path)]
    return subprocess.Popen(command, env=pulse.environment, stdin=subprocess.DEVNULL)


def boundaries_from_the_file(session: Session) -> list[float]:
    """Starts and ends in ms of what the same gate hears in the file itself."""
    gate = Gate()
    events = gate.push(Block(read_audio(session.path), 0)) + gate.finish()
    places = [
        event.onset if isinstance(event, SpeechStarted) else event.offset
        for event in events
        if isinstance(event, SpeechStarted | SpeechEnded)
    ]
    return [place * 1000 / SAMPLE_RATE for place in places]


def wall_zero(event: Message) -> float:
    """Wall time of the sample clock's zero, by an event's two times."""
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
        told = control.request("status")["data"]["timestamp"]
        # Whatever is still on its way is heard, and what is open by then was never closed.
        wait_for(lambda: control.request("status")["data"]["timestamp"] > told + 2000)
        metrics = control.request("metrics")["data"]
        daemon.signal(signal.SIGTERM)
        events = client.rest()
        assert daemon.wait() == 0
    assert (metrics["samples_missing"], metrics["overflows"]) == (0, 0)
    assert list(numbered(events)) == list(range(client.hello["data"]["seq"] + 1, events[-1]["data"]["seq"] + 1))
    assert not any("dropped" in event["data"] for event in events)

    told_of = [event for event in events if event["type"] != "audio-state"]
    stories = [list(story) for _, story in groupby(told_of, key=lambda event: event["data"]["utterance_id"])]
    assert [story[0]["data"]["utterance_id"] for story in stories] == [f"u-{number}" for number in range(1, 9)]
    for story in stories:
        check_story(story)
    check_times(stories, session, begun, ended)


def check_story(story: list[Message]) -> None:
    """An utterance: started, partial answers, one final answer, stopped."""
    assert [event["type"] for event in story] == ["voice-started", *["emotion"] * (len(story) - 2), "voice-stopped"]
    emotions = [event["data"] for event in story[1:-1]]
    assert [emotion["final"] for emotion in emotions] == [False] * (len(emotions) - 1) + [True]
    assert len(emotions) > 1 or emotions[-1]["voiced_ms"] < PARTIAL_FROM_MS
    assert (emotions[-1]["start"], emotions[-1]["end"]) == (
        story[0]["data"]["timestamp"],
        story[-1]["data"]["timestamp"],
    )


def check_times(stories: list[list[Message]], session: Session, begun: float, ended: float) -> None:
    """Starts and ends against the truth, on the sample clock and on the wall clock."""
    heard = np.array([story[place]["data"]["timestamp"] for story in stories for place in (0, -1)], float)
    true = np.array([place for spoken in session.spoken for place in (spoken.start, spoken.end)])
    # Where on the sample clock the playing began is learnt from where the same gate finds the same speech in the
    # file, not from the truth: so a boundary that is always early or always late is not taken for a delay.
    from_file = boundaries_from_the_file(session)
    assert len(from_file) == len(heard)
    zero = float(np.median(heard - from_file))
    errors = heard - zero - true
    for spoken, (start, end) in zip(session.spoken, errors.reshape(-1, 2), strict=True):
        print(f"{spoken.name}  start {start:+5.0f} ms  end {end:+5.0f} ms")

    playing_began = wall_zero(stories[0][0]) + zero / 1000
    print(f"playing began {playing_began - begun:.3f} s after its start; it took {ended - begun:.3f} s")
    # It began after it was started, and had ended when the player ended. A quarter of a second is for buffers on the
    # way: a virtual sink gives samples to its monitor a little before their time, a capture stream after it.
    assert begun - 0.25 < playing_began < ended - session.seconds + 0.25
    assert np.abs(errors).max() <= TOLERANCE_MS
