"""The stream of events that a client gets."""

from __future__ import annotations

import asyncio
import json

import pytest

from ser_daemon.wire import connection
from ser_model.version import full_version


async def test_the_greeting_has_exactly_these_bytes(wire, started):
    wire.publisher.publish(started)
    peer = await wire.connect()
    assert await peer.raw() == (
        b'{"type":"hello","version":"1.0","data":{"protocol":1,"server":"ser-daemon ' + full_version().encode() + b'",'
        b'"model":"reslstm-sa-h64","labels":["neutral","calm","happy","sad","angry","fearful","disgust",'
        b'"surprised"],"state":"listening","speaking":false,"muted":false,"device":"USB Mic","seq":1}}\n'
    )


async def test_events_come_without_a_request(wire, started, emotion, stopped):
    peer = await wire.listen()
    for event in (started, emotion(final=True), stopped):
        wire.publisher.publish(event)
    lines = [await peer.line() for _ in range(3)]
    assert [line["type"] for line in lines] == ["voice-started", "emotion", "voice-stopped"]
    assert [line["data"]["seq"] for line in lines] == [1, 2, 3]


async def test_an_event_is_in_the_socket_before_publish_returns(wire, started):
    peer = await wire.listen()
    peer.writer.transport.pause_reading()
    sock = peer.writer.get_extra_info("socket")
    wire.publisher.publish(started)
    # The loop has not run since: the bytes are in the kernel already.
    assert b"voice-started" in sock._sock.recv(4096)


async def test_a_filter_chosen_by_subscribe_is_confirmed_and_applied(wire, started, emotion):
    peer = await wire.listen()
    confirmed = await peer.ask(
        {
            "type": "subscribe",
            "id": 5,
            "data": {"events": ["emotion"], "partial": False, "min_confidence": 0.5},
        }
    )
    assert confirmed == {
        "type": "subscribed",
        "id": 5,
        "data": {"events": ["emotion"], "partial": False, "min_confidence": 0.5, "seq": 0},
    }
    for event in (started, emotion(), emotion(final=True, confidence=0.1), emotion(final=True)):
        wire.publisher.publish(event)
    assert (await peer.line())["data"]["seq"] == 4


async def test_a_request_client_gets_answers_only_until_it_subscribes(wire, started):
    peer = await wire.listen()
    assert (await peer.ask({"type": "ping"}))["type"] == "pong"
    wire.publisher.publish(started)
    assert (await peer.ask({"type": "ping"}))["type"] == "pong"
    assert (await peer.ask({"type": "subscribe"}))["data"]["seq"] == 1
    wire.publisher.publish(started)
    assert (await peer.line())["data"]["seq"] == 2


async def test_a_subscriber_may_send_requests_as_well(wire, started):
    peer = await wire.listen()
    await peer.ask({"type": "subscribe"})
    assert (await peer.ask({"type": "ping"}))["type"] == "pong"
    wire.publisher.publish(started)
    assert (await peer.line())["type"] == "voice-started"


async def test_a_client_that_closed_its_sending_side_keeps_receiving(wire, started):
    peer = await wire.listen()
    peer.writer.write_eof()
    await wire.until(lambda: wire.server.metrics["clients"] == 1)
    await asyncio.sleep(0)
    for _ in range(3):
        wire.publisher.publish(started)
        assert (await peer.line())["type"] == "voice-started"


async def test_a_half_closed_client_that_goes_away_is_detected_without_an_event(wire, monkeypatch):
    monkeypatch.setattr(connection, "HANGUP_SECONDS", 0.02)
    peer = await wire.listen()
    peer.writer.write_eof()
    await asyncio.sleep(0.05)
    assert wire.server.metrics["clients"] == 1
    peer.writer.transport.abort()
    await wire.until(lambda: wire.server.metrics["clients"] == 0)


async def test_a_request_client_that_closed_its_sending_side_gets_its_answer_and_the_end(wire):
    peer = await wire.connect()
    await peer.send(b'{"type":"ping"}\n{"type":"status"}')
    peer.writer.write_eof()
    assert [(await peer.line())["type"] for _ in range(3)] == ["hello", "pong", "status"]
    assert await peer.raw() == b""


async def test_two_hundred_clients_at_once_get_every_event(wire, emotion):
    peers = await asyncio.gather(*(wire.listen() for _ in range(200)))
    for number in range(20):
        wire.publisher.publish(emotion(final=number % 2 == 0))
    for peer in peers:
        assert [(await peer.line())["data"]["seq"] for _ in range(20)] == list(range(1, 21))
    assert wire.server.metrics["clients"] == 200


async def test_where_all_places_are_taken_the_client_idle_the_longest_makes_room(new_wire):
    wire = new_wire()
    wire.server = wire.make_server(max_clients=2)
    await wire.start()
    first, second = await wire.listen(), await wire.listen()
    assert (await first.ask({"type": "ping"}))["type"] == "pong"
    third = await wire.listen()
    error = await second.line()
    assert (error["type"], error["data"]["code"]) == ("error", "too-many-clients")
    assert await second.raw() == b""
    for peer in (first, third):
        assert (await peer.ask({"type": "ping"}))["type"] == "pong"
    assert (wire.server.metrics["clients"], wire.server.metrics["clients_displaced"]) == (2, 1)
    await wire.close()


async def test_a_client_whose_control_verb_runs_makes_no_room(new_wire):
    wire = new_wire()
    wire.server = wire.make_server(max_clients=1)
    wire.control.gate.clear()
    await wire.start()
    first = await wire.connect(wire.control_path)
    await first.line()
    await first.send({"type": "mute"})
    await asyncio.sleep(0.01)
    second = await wire.connect(wire.control_path)
    assert (await second.line())["data"]["code"] == "too-many-clients"
    assert await second.raw() == b""
    assert (await wire.listen()).reader
    wire.control.gate.set()
    assert (await first.line())["type"] == "done"
    await wire.close()


async def test_closing_delivers_the_last_events_and_removes_the_sockets(wire, stopped):
    peer = await wire.listen()
    for _ in range(50):
        wire.publisher.publish(stopped)
    async with asyncio.timeout(2):
        await wire.server.close()
    lines = [json.loads(line) async for line in peer.reader]
    assert [line["data"]["seq"] for line in lines] == list(range(1, 51))
    assert not wire.path.exists()
    assert not wire.control_path.exists()


@pytest.mark.parametrize("device", ["Mic\udcff", "Mikrofon für Ü", 'a"b\\c\n'])
async def test_any_device_name_reaches_the_client(wire, device):
    wire.status.device = device
    assert (await (await wire.connect()).line())["data"]["device"] == device
