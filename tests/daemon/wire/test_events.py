"""Events to the wire and back."""

from __future__ import annotations

import pytest

from ser_daemon.wire import events
from ser_daemon.wire.event_reading import ProtocolError, from_wire
from ser_daemon.wire.events import Activation, to_ms, wall_time
from ser_daemon.wire.framing import encode
from ser_daemon.wire.protocol import CaptureState
from ser_model.labels import LABELS


def test_a_partial_emotion_has_exactly_these_bytes(emotion):
    activation = Activation(level="high", probability=0.93)
    event = emotion(scores={"neutral": 0.42, "angry": 0.58}, activation=activation).numbered(43)
    assert encode(event.type, event.data()) == (
        b'{"type":"emotion","data":{"seq":43,"utterance_id":"u-17","final":false,"label":"angry",'
        b'"confidence":0.58,"scores":{"neutral":0.42,"angry":0.58},"calibrated":true,"arousal":0.53,"valence":-0.22,'
        b'"activation":{"level":"high","probability":0.93},'
        b'"start":182340,"end":185340,"timestamp":185341,"time":"2026-11-22T08:44:04.124Z","latency_ms":3.1,'
        b'"voiced_ms":2100,"snr_db":24.5,"clipping":false,"adaptation":"none"}}\n'
    )


def test_an_activation_that_the_model_cannot_give_is_null(emotion):
    assert b'"valence":-0.22,"activation":null,"start"' in encode("emotion", emotion().data())
    assert "reason" not in emotion().data()


def test_the_examples_behind_an_answer_are_counted_where_there_are_any(emotion):
    taught = emotion(adaptation="taught", taught=24)
    assert encode("emotion", taught.data()).endswith(b'"clipping":false,"adaptation":"taught","taught":24}}\n')
    assert "taught" not in emotion().data()
    assert from_wire("emotion", taught.data()) == taught


def test_an_unknown_final_names_the_reason_and_the_likeliest_label(emotion):
    event = emotion(final=True, label="unknown", reason="low-confidence", top="sad", confidence=0.31)
    names = list(event.data())
    assert names[:7] == ["seq", "utterance_id", "final", "label", "reason", "top", "confidence"]


def test_an_audio_state_leaves_out_fields_without_a_value():
    event = events.AudioState(state=CaptureState.NO_DEVICE, device="USB Mic", reason="unplugged", retry_in_ms=2000)
    assert encode(event.type, event.numbered(48).data()) == (
        b'{"type":"audio-state","data":{"seq":48,"state":"no-device","device":"USB Mic",'
        b'"reason":"unplugged","retry_in_ms":2000}}\n'
    )


def test_every_event_is_read_back_as_it_was_written(emotion, started, stopped):
    state = events.AudioState(state=CaptureState.MUTED)
    hello = events.Hello(
        server="ser-daemon 0.2.0",
        model="m",
        labels=list(LABELS),
        state=CaptureState.HELD,
        speaking=True,
        muted=False,
        device="Mic",
    )
    activated = emotion(activation=Activation(level="unknown", probability=0.5))
    for event in (emotion(), activated, started, stopped, state, hello):
        assert from_wire(event.type, event.numbered(3).data()) == event.numbered(3)


def test_an_emotion_of_an_older_daemon_has_no_activation(emotion):
    older = {name: value for name, value in emotion().data().items() if name != "activation"}
    assert from_wire("emotion", older) == emotion()


def test_fields_and_types_of_a_newer_daemon_are_ignored(started):
    assert from_wire("voice-started", {**started.data(), "pitch": 120}) == started
    assert from_wire("whisper", {"loud": False}) is None


def test_an_activation_may_have_a_level_and_fields_of_a_newer_daemon(emotion):
    newer = {**emotion().data(), "activation": {"level": "extreme", "probability": 1, "since": [0]}}
    assert from_wire("emotion", newer).activation == Activation(level="extreme", probability=1)


def test_a_known_state_is_read_as_its_member_and_one_of_a_newer_daemon_keeps_its_text():
    muted = from_wire("audio-state", {"state": "muted"})
    assert muted.state is CaptureState.MUTED
    newer = from_wire("audio-state", {"state": "hibernating"})
    assert newer.state == "hibernating"
    assert newer.state not in list(CaptureState)
    assert encode(newer.type, newer.data()) == b'{"type":"audio-state","data":{"seq":0,"state":"hibernating"}}\n'
    assert (f"{newer.state}", repr(newer.state)) == ("hibernating", "<CaptureState.hibernating: 'hibernating'>")


@pytest.mark.parametrize(
    "change",
    [
        {"confidence": "high"},
        {"final": 1},
        {"seq": True},
        {"scores": [0.1]},
        {"start": 1.5},
        {"label": None},
        {"time": 7},
        {"snr_db": "24.5"},
        {"activation": "high"},
        {"activation": ["high", 0.9]},
        {"activation": {}},
        {"activation": {"level": "high"}},
        {"activation": {"level": "high", "probability": None}},
    ],
)
def test_a_field_of_a_wrong_type_is_named(emotion, change):
    with pytest.raises(ProtocolError, match=next(iter(change))):
        from_wire("emotion", {**emotion().data(), **change})


@pytest.mark.parametrize(
    "probability", ["0.9", True, {}, [0.9], float("nan"), float("inf"), 10**400, {"level": "high"}]
)
def test_a_probability_that_is_no_number_is_refused(emotion, probability):
    activation = {"level": "high", "probability": probability}
    with pytest.raises(ProtocolError, match=r"'activation' with probability = .*; expected float"):
        from_wire("emotion", {**emotion().data(), "activation": activation})


@pytest.mark.parametrize("level", [1, True, ["high"], {}])
def test_a_level_that_is_no_text_is_refused(emotion, level):
    with pytest.raises(ProtocolError, match=r"'activation' with level = .*; expected str"):
        from_wire("emotion", {**emotion().data(), "activation": {"level": level, "probability": 0.9}})


@pytest.mark.parametrize(("samples", "ms"), [(0, 0), (7, 0), (8, 1), (16, 1), (16_000, 1000), (2**40, 2**36)])
def test_positions_are_rounded_to_the_nearest_millisecond(samples, ms):
    assert to_ms(samples) == ms


def test_wall_time_is_utc_with_milliseconds():
    assert wall_time(1_795_337_041.1234) == "2026-11-22T08:44:01.123Z"
    assert wall_time(0) == "1970-01-01T00:00:00.000Z"
