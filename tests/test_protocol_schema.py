"""The schema of the protocol: it is what the classes say, and every line of a real daemon follows it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ser_daemon.cli.demo import bundled_recording
from ser_daemon.wire.events import EVENT_CLASSES, Emotion
from ser_daemon.wire.protocol import CONTROL_VERBS, QUERIES
from support.daemon import Daemon
from support.schema import SCHEMA, check_line, closed

jsonschema = pytest.importorskip("jsonschema")

ROOT = Path(__file__).resolve().parents[1]
LINES = jsonschema.Draft202012Validator(closed(SCHEMA))
REQUESTS = jsonschema.Draft202012Validator({**SCHEMA, "oneOf": [{"$ref": "#/$defs/request"}]})


def test_the_schema_is_what_the_classes_say() -> None:
    command = [sys.executable, "-B", str(ROOT / "release/protocol_schema.py"), "--print"]
    made = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert made == (ROOT / "docs/protocol.schema.json").read_text(), "make schema"
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_every_line_of_a_real_daemon_is_valid() -> None:
    with Daemon("--mic", f"file:{bundled_recording()}", "--fast") as daemon:
        client = daemon.subscribe()
        lines = [client.hello, *client.rest()]
        assert daemon.wait() == 0
    for line in lines:
        LINES.validate(line)
    assert {line["type"] for line in lines} == set(EVENT_CLASSES)
    finals = [line["data"] for line in lines if line["type"] == "emotion" and line["data"]["final"]]
    assert {final["label"] == "unknown" for final in finals} == {True, False}, "both kinds of finals were checked"


def test_every_answer_of_a_real_daemon_is_valid() -> None:
    with Daemon("--mic", "stdin", "--rate", "16000", feed=True) as daemon:
        asker = daemon.subscribe(daemon.control)
        answers = [asker.request(name) for name in (*QUERIES, *CONTROL_VERBS)]
        answers.append(asker.request("label", utterance_id="last", label="happy"))
        answers.append(asker.request("sing"))
    for answer in answers:
        LINES.validate(answer)
    assert {"status", "metrics", "info", "pong", "subscribed", "done", "error"} == {line["type"] for line in answers}


@pytest.mark.parametrize(
    "change",
    [
        {"pitch": 120},
        {"label": "bored"},
        {"confidence": 1.5},
        {"seq": "43"},
        {"time": "yesterday"},
        {"activation": {"level": "high"}},
        {"label": "unknown"},
        {"reason": "too-short"},
        {"scores": {"angry": 2}},
        {"clipping": None},
    ],
)
def test_a_line_that_is_not_of_the_protocol_is_refused(change: dict[str, object]) -> None:
    emotion = Emotion(
        seq=43,
        utterance_id="u-17",
        final=True,
        label="angry",
        confidence=0.58,
        scores={"angry": 0.58, "neutral": 0.42},
        start=0,
        end=3000,
        timestamp=3001,
        time="2026-11-22T08:44:04.124Z",
        latency_ms=3.1,
        voiced_ms=2100,
    ).data()
    LINES.validate({"type": "emotion", "data": emotion})
    check_line({"type": "emotion", "data": emotion})
    assert not LINES.is_valid({"type": "emotion", "data": {**emotion, **change}})
    # So do the clients of all other tests.
    with pytest.raises(AssertionError, match="not as docs"):
        check_line({"type": "emotion", "data": {**emotion, **change}})


def test_a_line_of_an_unknown_type_is_refused() -> None:
    with pytest.raises(AssertionError, match="no line of the protocol"):
        check_line({"type": "activation", "level": "high", "probability": 0.9})


def test_requests_are_described_too() -> None:
    for name in {*QUERIES, *CONTROL_VERBS} - {"label"}:
        REQUESTS.validate({"type": name, "id": 1})
    REQUESTS.validate({"type": "subscribe", "data": {"events": ["emotion"], "partial": False, "min_confidence": 0.5}})
    for wrong in (
        {"type": "hold", "data": {"ms": 0}},
        {"type": "label", "data": {"utterance_id": "u-1"}},
        {"type": "sing"},
        {"type": "ping", "id": 1.5},
        {"type": "subscribe", "data": {"events": ["hello"]}},
    ):
        assert not REQUESTS.is_valid(wrong), wrong
