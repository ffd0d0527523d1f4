"""Requests and their answers."""

from __future__ import annotations

import pytest

from ser_daemon.wire.protocol import CONTROL_VERBS, PROTOCOL
from ser_model.labels import LABELS

NESTED: list[object] = []
"""As deep as JSON may be here."""
for _ in range(900):
    NESTED = [NESTED]


async def test_ping_repeats_its_text(wire):
    peer = await wire.listen()
    assert await peer.ask(b'{"type":"ping","data":{"text":"hi"}}\n') == {
        "type": "pong",
        "data": {"text": "hi"},
    }
    assert await peer.ask(b'{"type":"ping"}\n') == {"type": "pong", "data": {"text": None}}


@pytest.mark.parametrize("identity", [7, "seven"])
async def test_an_id_is_repeated_where_it_was(wire, identity):
    peer = await wire.listen()
    beside = await peer.ask({"type": "ping", "id": identity})
    assert beside == {"type": "pong", "id": identity, "data": {"text": None}}
    inside = await peer.ask({"type": "ping", "data": {"id": identity}})
    assert inside == {"type": "pong", "data": {"id": identity, "text": None}}
    error = await peer.ask({"type": "sing", "id": identity})
    assert (error["type"], error["id"]) == ("error", identity)


async def test_status_reports_what_the_daemon_does(wire):
    wire.status.level_dbfs, wire.status.noise_floor_dbfs = float("-inf"), -61.234
    wire.status.speaking, wire.status.extra = True, {"adaptation": "none"}
    data = (await (await wire.listen()).ask({"type": "status"}))["data"]
    assert data["protocol"] == PROTOCOL
    assert data["labels"] == list(LABELS)
    assert (data["state"], data["speaking"], data["muted"], data["held"]) == ("listening", True, False, False)
    assert (data["level_dbfs"], data["noise_floor_dbfs"], data["adaptation"]) == (None, -61.2, "none")


async def test_metrics_join_the_daemons_counters_with_the_sockets_own(wire, started):
    peer = await wire.listen()
    wire.publisher.publish(started)
    await peer.line()
    data = (await peer.ask({"type": "metrics"}))["data"]
    assert data["xruns"] == 2
    assert (data["events_published"], data["clients"], data["clients_rejected"]) == (1, 1, 0)


async def test_describe_names_model_and_labels_beside_wyomings_empty_domains(wire):
    info = await (await wire.listen()).ask({"type": "describe"})
    assert info["type"] == "info"
    assert info["data"]["asr"] == []
    (program,) = info["data"]["ser"]
    assert program["models"][0]["name"] == "reslstm-sa-h64"
    assert program["models"][0]["labels"] == list(LABELS)


@pytest.mark.parametrize("verb", CONTROL_VERBS)
async def test_the_event_socket_refuses_control_verbs_and_names_the_control_socket(wire, verb):
    error = await (await wire.listen()).ask({"type": verb})
    assert error["data"]["code"] == "not-permitted"
    assert str(wire.control_path) in error["data"]["text"]
    assert wire.control.calls == []


async def test_the_control_socket_serves_control_verbs(wire):
    peer = await wire.connect(wire.control_path)
    await peer.line()
    assert await peer.ask({"type": "mute", "id": 1}) == {"type": "done", "id": 1, "data": {"request": "mute"}}
    assert (await peer.ask({"type": "hold", "data": {"ms": 3000}}))["data"] == {"request": "hold", "ms": 3000}
    assert (await peer.ask({"type": "hold"}))["data"] == {"request": "hold", "ms": None}
    forgotten = {"request": "reset-adaptation", "text": "What was learnt is forgotten."}
    assert (await peer.ask({"type": "reset-adaptation"}))["data"] == forgotten
    assert wire.control.calls == ["mute", ("hold", 3000), ("hold", None)]
    assert (await peer.ask({"type": "status"}))["type"] == "status"


@pytest.mark.parametrize(
    ("kind", "data", "problem"),
    [
        ("label", {"label": "sad"}, "utterance_id must be last, or as in the events, such as u-7; not None."),
        ("label", {"utterance_id": 7, "label": "sad"}, "not 7."),
        ("label", {"utterance_id": "7", "label": "sad"}, "not '7'."),
        ("label", {"utterance_id": "u-07", "label": "sad"}, "not 'u-07'."),
        ("label", {"utterance_id": "u-7\n", "label": "sad"}, "not 'u-7"),
        ("label", {"utterance_id": ["u-7"], "label": "sad"}, "not a list."),
        ("label", {"utterance_id": "u-7"}, "label must be one of neutral, calm, happy, sad, angry, fearful, disgust, "),
        ("label", {"utterance_id": "u-7", "label": "unknown"}, "surprised, not 'unknown'."),
        ("label", {"utterance_id": "u-7", "label": {}}, "surprised, not an object."),
        (
            "label",
            {"utterance_id": "u-7", "label": "sad", "why": 1},
            "label has no field 'why'; it has utterance_id and",
        ),
        ("taught", {"start": -1}, "start must be an integer from 0 to 1000000, not -1."),
        ("taught", {"start": True}, "not True."),
        ("taught", {"from": 1}, "taught has no field 'from'; it has start."),
    ],
)
async def test_a_wrong_field_of_a_correction_is_one_sentence(wire, kind, data, problem):
    peer = await wire.connect(wire.control_path)
    await peer.line()
    error = (await peer.ask({"type": kind, "data": data}))["data"]
    assert error["code"] == "bad-request"
    assert problem in error["text"]
    assert wire.control.calls == []


async def test_the_id_of_a_correction_may_be_inside_its_data(wire):
    peer = await wire.connect(wire.control_path)
    await peer.line()
    answer = await peer.ask({"type": "label", "data": {"utterance_id": "last", "label": "happy", "id": 3}})
    assert answer["data"] == {
        "id": 3,
        "request": "label",
        "utterance_id": "u-17",
        "label": "happy",
        "taught": 2,
        "text": "u-17 counts as happy.",
    }


async def test_with_equal_paths_one_socket_serves_everything(new_wire):
    wire = new_wire()
    wire.control_path = wire.path
    await wire.start()
    assert (await (await wire.listen()).ask({"type": "unmute"}))["type"] == "done"
    await wire.close()


async def test_answers_keep_the_order_of_the_requests_while_one_takes_long(wire):
    wire.control.gate.clear()
    peer = await wire.connect(wire.control_path)
    await peer.line()
    await peer.send(b'{"type":"mute"}\n{"type":"ping"}\n')
    other = await wire.listen()
    assert (await other.ask({"type": "ping"}))["type"] == "pong"
    wire.control.gate.set()
    assert [(await peer.line())["type"] for _ in range(2)] == ["done", "pong"]


async def test_a_client_that_leaves_during_its_request_affects_no_other(wire):
    wire.control.gate.clear()
    peer = await wire.connect(wire.control_path)
    await peer.ask({"type": "mute"})
    peer.writer.transport.abort()
    wire.control.gate.set()
    await wire.until(lambda: wire.control.calls == ["mute"])
    assert (await (await wire.listen()).ask({"type": "ping"}))["type"] == "pong"


async def test_a_refused_reload_gives_the_reason(wire):
    peer = await wire.connect(wire.control_path)
    await peer.line()
    error = await peer.ask({"type": "reload", "id": 4})
    assert error == {
        "type": "error",
        "id": 4,
        "data": {"code": "failed", "text": "config.yaml:3: gate.engine must be silero or webrtc."},
    }


async def test_an_exception_in_the_daemon_is_an_error_and_is_logged(wire, caplog):
    peer = await wire.connect(wire.control_path)
    await peer.line()
    assert (await peer.ask({"type": "release"}))["data"]["code"] == "failed"
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        ({"type": "sing"}, "unknown-type", "status"),
        ({"type": "ping", "data": {"text": 3}}, "bad-request", "text"),
        ({"type": "ping", "data": {"text": "x" * 2000}}, "bad-request", "text"),
        ({"type": "ping", "id": "x" * 200}, "bad-id", "id"),
        ({"type": "ping", "id": [1]}, "bad-id", "id"),
        ({"type": "ping", "data": {"id": True}}, "bad-id", "id"),
        ({"type": "ping", "id": 1, "data": {"id": "x" * 200}}, "bad-id", "id"),
        ({"type": "mute", "id": 1, "data": {"id": [[[]]]}}, "bad-id", "id"),
        ({"type": "subscribe", "data": {"events": ["emotions"]}}, "bad-request", "events"),
        ({"type": "subscribe", "data": {"events": "emotion"}}, "bad-request", "events"),
        ({"type": "subscribe", "data": {"events": [[]]}}, "bad-request", "events"),
        ({"type": "subscribe", "data": {"partial": 0}}, "bad-request", "partial"),
        ({"type": "subscribe", "data": {"min_confidence": 2}}, "bad-request", "min_confidence"),
        ({"type": "subscribe", "data": {"min_confidence": "0.5"}}, "bad-request", "min_confidence"),
        ({"type": "hold", "data": {"ms": 0}}, "bad-request", "ms"),
        ({"type": "hold", "data": {"ms": 1.5}}, "bad-request", "ms"),
        ({"type": "hold", "data": {"ms": True}}, "bad-request", "ms"),
        ({"type": "hold", "data": {"ms": NESTED}}, "bad-request", "a list"),
        ({"type": "subscribe", "data": {"partial": NESTED}}, "bad-request", "a list"),
        ({"type": "subscribe", "data": {"min_confidence": NESTED}}, "bad-request", "a list"),
        ({"type": "subscribe", "data": {"events": NESTED}}, "bad-request", "events"),
        ({"type": "hold", "data": {"ms": 10**9}}, "bad-request", "ms"),
    ],
)
async def test_a_wrong_request_gets_a_reason_and_the_connection_stays_open(wire, request_, code, text):
    peer = await wire.connect(wire.control_path)
    await peer.line()
    error = await peer.ask(request_)
    assert (error["type"], error["data"]["code"]) == ("error", code)
    assert text in error["data"]["text"]
    assert (await peer.ask({"type": "ping"}))["type"] == "pong"
