"""Wyoming events with payloads: what the official package writes, in pieces of any size, and what is refused."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_daemon.wire.encoding import MAX_LINE
from ser_daemon.wire.payload_stream import LONGEST_PAYLOAD, EventHead, FramingError, PayloadStream

wyoming_event = pytest.importorskip("wyoming.event")
wyoming_audio = pytest.importorskip("wyoming.audio")


def written(*events: object) -> bytes:
    """Return what the official package writes."""
    file = io.BytesIO()
    for event in events:
        wyoming_event.write_event(event, file)
    return file.getvalue()


def everything(stream: PayloadStream) -> list[EventHead | bytes]:
    return list(iter(stream.take, None))


EVENTS = written(
    wyoming_audio.AudioStart(48_000, 2, 2, timestamp=5).event(),
    wyoming_audio.AudioChunk(48_000, 2, 2, audio=bytes(range(256)) * 3).event(),
    wyoming_event.Event("ping", {"text": "ä\n{"}),
    wyoming_audio.AudioStop().event(),
)


@given(st.lists(st.integers(1, 200), min_size=1, max_size=30))
def test_events_of_the_official_package_are_read_in_pieces_of_any_size(sizes: list[int]) -> None:
    stream, heads, payload, at = PayloadStream(), [], b"", 0
    while at < len(EVENTS):
        size = sizes[at % len(sizes)]
        stream.feed(EVENTS[at : at + size])
        at += size
        for item in everything(stream):
            if isinstance(item, bytes):
                payload += item
            else:
                heads.append(item)
    assert [head.type for head in heads] == ["audio-start", "audio-chunk", "ping", "audio-stop"]
    assert heads[0].data == {"rate": 48_000, "width": 2, "channels": 2, "timestamp": 5}
    assert heads[2].data == {"text": "ä\n{"}
    assert payload == bytes(range(256)) * 3
    assert stream.is_between_events


def test_a_payload_is_passed_on_before_it_is_complete() -> None:
    stream = PayloadStream()
    stream.feed(b'{"type":"audio-chunk","payload_length":16000000}\n')
    assert everything(stream) == [EventHead("audio-chunk", {}, 16_000_000)]
    stream.feed(b"abc")
    assert everything(stream) == [b"abc"]
    assert not stream.is_between_events


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        (b"GET / HTTP/1.1\r\n", "A line is not JSON"),
        (b"[1]\n", "A line must be a JSON object"),
        (b'{"data":{}}\n', 'A line must hold a "type"'),
        (b'{"type":"a","payload_length":-1}\n', "payload_length must be an integer from 0"),
        (b'{"type":"a","payload_length":%d}\n' % (LONGEST_PAYLOAD + 1), "payload_length must be an integer from 0"),
        (b'{"type":"a","data_length":%d}\n' % (MAX_LINE + 1), "data_length must be an integer from 0"),
        (b'{"type":"a","data_length":2}\n[]', "A line must be a JSON object"),
        (b"x" * MAX_LINE, f"A header is longer than {MAX_LINE} bytes"),
        (b'{"type":"a","data":' + b"[" * 2000, None),
        (b'{"type":"a","data":' + b"[" * 2000 + b"\n", "A line is too deep"),
        (b"\xff\n", "A line is not UTF-8"),
    ],
)
def test_bytes_that_are_no_event_are_refused_in_one_sentence(sent: bytes, sentence: str | None) -> None:
    stream = PayloadStream()
    stream.feed(sent)
    if sentence is None:
        assert stream.take() is None
        return
    with pytest.raises(FramingError) as raised:
        everything(stream)
    assert str(raised.value).startswith(sentence)
    assert str(raised.value).endswith("expected Wyoming events.")
    assert "\n" not in str(raised.value)


def test_data_in_the_line_and_after_it_are_merged() -> None:
    stream = PayloadStream()
    block = json.dumps({"b": 2}).encode()
    stream.feed(b'\n{"type":"a","data":{"a":1,"b":1},"data_length":%d}\n' % len(block) + block)
    assert everything(stream) == [EventHead("a", {"a": 1, "b": 2}, 0)]
