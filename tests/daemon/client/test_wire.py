"""The protocol as both clients use it, without a socket."""

from __future__ import annotations

import json

import pytest

from ser_daemon.client.wire import EventStream, NotRunning, PendingRequest, ProtocolError, Reconnect, RequestFailed

HELLO = b'{"type":"hello","data":{}}\n'
EVENT = b'{"type":"voice-stopped","data":{"seq":1}}\n'
SUBSCRIBED = b'{"type":"subscribed","id":1,"data":{}}\n'
REFUSED = b'{"type":"error","data":{"code":"bad-request","text":"No."}}\n'


def test_a_request_waits_for_the_line_with_its_id_in_whatever_pieces_it_comes():
    request = PendingRequest("hold", {"ms": 3})
    assert json.loads(request.line) == {"type": "hold", "id": 1, "data": {"ms": 3}}
    assert request.feed(HELLO + EVENT) is None
    answer = b'{"type":"done","id":1,"data":{"ms":3}}\n'
    assert request.feed(answer[:20]) is None
    assert request.feed(answer[20:]) == {"ms": 3}


def test_an_unfiltered_stream_needs_no_request():
    stream = EventStream(None)
    assert stream.line == b""
    assert [*stream.feed(HELLO + EVENT)] == [HELLO[:-1], EVENT[:-1]]


def test_a_filtered_stream_leaves_out_the_events_sent_before_its_filter_was_in_force():
    stream = EventStream({"partial": False})
    assert json.loads(stream.line)["data"] == {"partial": False}
    assert [*stream.feed(HELLO + EVENT + SUBSCRIBED + EVENT)] == [HELLO[:-1], EVENT[:-1]]


@pytest.mark.parametrize(
    ("data", "error"),
    [(b"", NotRunning), (REFUSED, RequestFailed), (b"220 smtp\n", ProtocolError), (b"x" * 100_000, ProtocolError)],
)
def test_any_other_input_is_an_error(data, error):
    with pytest.raises(error):
        PendingRequest("ping", {}).feed(data)
    with pytest.raises(error):
        list(EventStream(None).feed(data))


def test_reconnecting_waits_longer_after_every_failure_and_starts_again_after_a_line():
    lost: list[Exception] = []
    retry = Reconnect(True, lost.append)
    errors = [NotRunning("gone"), RequestFailed("slow-consumer", "slow"), NotRunning("gone")]
    assert [retry.delay_after(error) for error in errors] == [0.1, 0.2, 0.4]
    assert lost == errors
    for _ in range(5):
        longest = retry.delay_after(NotRunning("gone"))
    assert longest == 5.0
    retry.received()
    assert retry.delay_after(NotRunning("gone")) == 0.1


@pytest.mark.parametrize(
    ("enabled", "error"), [(False, NotRunning("gone")), (True, RequestFailed("bad-request", "No."))]
)
def test_a_loss_after_which_no_attempt_is_made_is_raised(enabled, error):
    with pytest.raises(type(error)) as raised:
        Reconnect(enabled, None).delay_after(error)
    assert raised.value is error
