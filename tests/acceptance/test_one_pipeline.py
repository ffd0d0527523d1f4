"""The daemon and `Recognizer` give the same answers for the same file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser_daemon.wire.events import to_ms
from ser_model import Model, Recognizer, read_audio
from ser_model.types import Block, EmotionResult
from support.daemon import Daemon, Message

pytestmark = pytest.mark.usefixtures("minute")

LEAD_SECONDS = 60
"""Silence before the speech, so that a subscriber connects before the first utterance of a fast file."""


@pytest.fixture(scope="module")
def recorded(speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of the speech after a long silence."""
    samples, rate = soundfile.read(speech, dtype="int16")
    path: Path = tmp_path_factory.mktemp("recorded") / "recorded.wav"
    soundfile.write(path, np.concatenate((np.zeros(LEAD_SECONDS * rate, np.int16), samples)), rate)
    return path


@pytest.fixture(scope="module")
def published(recorded: Path) -> list[Message]:
    """Return the data of the final answers of a daemon that reads the file."""
    with Daemon("--mic", f"file:{recorded}", "--fast") as daemon:
        client = daemon.subscribe()
        events = client.rest()
        assert daemon.wait() == 0
    assert events[-1]["data"]["seq"] - client.hello["data"]["seq"] == len(events)
    finals = [event["data"] for event in events if event["type"] == "emotion" and event["data"]["final"]]
    assert finals[0]["utterance_id"] == "u-1", "the subscriber connected too late"
    return finals


def recognise(path: Path, block: int) -> list[EmotionResult]:
    """Return the final answers of a `Recognizer`, for blocks of so many samples."""
    samples = read_audio(path)
    recognizer = Recognizer(Model.load())
    results = []
    for start in range(0, len(samples), block):
        results += recognizer.push(Block(samples[start : start + block], start))
    results += recognizer.finish()
    return [result for result in results if isinstance(result, EmotionResult) and result.final]


@pytest.fixture(scope="module")
def whole(recorded: Path) -> list[EmotionResult]:
    """Return the final answers for the whole file as one block."""
    return recognise(recorded, 10**9)


@pytest.mark.parametrize("block", [157, 512, 1600, 99_991])
def test_answers_do_not_depend_on_the_size_of_blocks(recorded: Path, whole: list[EmotionResult], block: int) -> None:
    pieces = recognise(recorded, block)
    assert len(whole) >= 6
    assert len(pieces) == len(whole)
    for one, other in zip(pieces, whole, strict=True):
        assert (one.utterance, one.start, one.end, one.timestamp, one.voiced) == (
            *(other.utterance, other.start, other.end),
            *(other.timestamp, other.voiced),
        )
        assert (one.label, one.reason, one.top) == (other.label, other.reason, other.top)
        assert one.scores == pytest.approx(other.scores, abs=1e-3)


def test_the_daemon_publishes_the_recognizers_answers(published: list[Message], whole: list[EmotionResult]) -> None:
    assert len(published) == len(whole) >= 6
    for event, result in zip(published, whole, strict=True):
        assert event["utterance_id"] == f"u-{result.utterance}"
        positions = (result.start, result.end, result.timestamp, result.voiced)
        assert (event["start"], event["end"], event["timestamp"], event["voiced_ms"]) == tuple(map(to_ms, positions))
        assert list(event["scores"]) == list(result.scores)
        assert event["scores"] == pytest.approx(result.scores, abs=1e-3)
        assert event["confidence"] == pytest.approx(result.confidence, abs=1e-3)
        assert (event["label"], event.get("reason")) == (result.label, result.reason)
