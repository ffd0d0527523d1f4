"""The line parser, with any bytes in any pieces."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_daemon.wire.framing import MAX_LINE, MAX_PAYLOAD, BadLine, LineParser, Message, encode


def parse(*pieces: bytes) -> list[Message | BadLine]:
    parser, found = LineParser(), []
    for piece in pieces:
        parser.feed(piece)
        while (item := parser.take()) is not None:
            found.append(item)
        assert len(parser._buffer) <= MAX_LINE
    while (item := parser.finish()) is not None:
        found.append(item)
    return found


def wyoming(name: str, data: dict[str, object], payload: bytes = b"") -> bytes:
    block = json.dumps(data).encode()
    header = {"type": name, "data_length": len(block), "payload_length": len(payload), "version": "1.10.2"}
    return json.dumps(header).encode() + b"\n" + block + payload


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
objects = st.dictionaries(st.text(), json_values, max_size=3)
plain_lines = st.builds(lambda name, data: encode(name, data), st.text(), objects)
wyoming_lines = st.builds(wyoming, st.text(), objects, st.binary(max_size=40))
garbage = st.binary(max_size=60).map(lambda data: data + b"\n")
too_long = st.just(b"x" * (MAX_LINE + 5) + b"\n")
streams = st.lists(plain_lines | wyoming_lines | garbage | too_long, max_size=6).map(b"".join)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_split_of_the_bytes_gives_the_same_messages(data):
    stream = data.draw(streams)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert parse(*pieces) == parse(stream)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=8))
def test_random_bytes_give_messages_or_bad_lines_and_never_raise(pieces):
    assert all(isinstance(item, Message | BadLine) for item in parse(*pieces))


@settings(max_examples=100, deadline=None)
@given(st.text(), objects, st.binary(max_size=40))
def test_wyoming_framing_gives_the_same_message_as_a_plain_line(name, data, payload):
    after = encode("ping", {})
    assert parse(wyoming(name, data, payload) + after) == parse(encode(name, data) + after)


def test_inline_data_and_a_data_block_are_merged():
    line = b'{"type":"ping","data":{"a":1,"b":1},"data_length":7}\n{"b":2}'
    assert parse(line) == [Message("ping", {"a": 1, "b": 2})]


@pytest.mark.parametrize("line", [b"\n", b"\r\n", b"   \n"])
def test_empty_lines_are_skipped(line):
    assert parse(line + b'{"type":"ping"}\r\n') == [Message("ping")]


@pytest.mark.parametrize(
    ("line", "code", "text"),
    [
        (b"{not json}\n", "bad-line", "not JSON"),
        (b"\xff\xfe\x00\n", "bad-line", "UTF-8"),
        (b"[1,2]\n", "bad-line", "object"),
        (b"{}\n", "bad-line", '"type"'),
        (b'{"type":7}\n', "bad-line", '"type"'),
        (b'{"type":"x","data":[1]}\n', "bad-line", '"data"'),
        (b"[" * 30_000 + b"\n", "bad-line", "deep"),
        (b'{"type":' + b"9" * 20_000 + b"}\n", "bad-line", "JSON"),
        (b'{"type":"x","data_length":-1}\n', "bad-framing", "data_length"),
        (b'{"type":"x","data_length":true}\n', "bad-framing", "data_length"),
        (b'{"type":"x","data_length":99999999999}\n', "bad-framing", "data_length"),
        (b'{"type":"x","payload_length":1e3}\n', "bad-framing", "payload_length"),
        (b'{"type":"x","data_length":4}\nnope', "bad-framing", "data block"),
        (b"x" * MAX_LINE + b"\n", "line-too-long", str(MAX_LINE)),
    ],
)
def test_a_bad_line_is_explained_and_the_next_one_parsed(line, code, text):
    bad, after = parse(line + b'{"type":"ping"}\n')
    assert isinstance(bad, BadLine)
    assert bad.code == code
    assert text in bad.text
    assert len(bad.text) < 400
    assert after == Message("ping")


def test_the_longest_line_allowed_is_parsed():
    line = b'{"type":"ping"}'.ljust(MAX_LINE - 1) + b"\n"
    assert len(line) == MAX_LINE
    assert parse(line) == [Message("ping")]


def test_a_payload_is_skipped_and_not_stored():
    parser = LineParser()
    parser.feed(b'{"type":"audio-chunk","payload_length":%d}\n' % MAX_PAYLOAD)
    assert parser.take() == Message("audio-chunk")
    for _ in range(MAX_PAYLOAD // 1024):
        parser.feed(b"\n" * 1024)
        assert parser.take() is None
        assert len(parser._buffer) == 0
    parser.feed(b'{"type":"ping"}\n')
    assert parser.take() == Message("ping")


def test_an_endless_line_is_reported_once_and_not_stored():
    parser = LineParser()
    found = []
    for _ in range(1024):
        parser.feed(b"x" * 1024)
        while (item := parser.take()) is not None:
            found.append(item)
        assert len(parser._buffer) <= MAX_LINE
    assert [item.code for item in found] == ["line-too-long"]


def test_a_last_line_without_newline_is_parsed_if_it_is_complete():
    assert parse(b'{"type":"status"}') == [Message("status")]


@pytest.mark.parametrize("rest", [b'{"type":"sta', b'{"type":"x","data_length":5}', b'{"type":"x","data_length":5}\n{'])
def test_half_a_line_at_the_end_is_a_bad_line(rest):
    (bad,) = parse(rest)
    assert isinstance(bad, BadLine)


def test_numbers_that_json_lacks_are_written_as_null():
    line = encode("status", {"level": float("-inf"), "deep": [{"x": float("nan")}], "fine": 1.5})
    assert json.loads(line)["data"] == {"level": None, "deep": [{"x": None}], "fine": 1.5}


def test_a_device_name_that_is_not_unicode_still_makes_a_valid_line():
    assert json.loads(encode("x", {"device": "Mic\udcff ü"}))["data"]["device"] == "Mic\udcff ü"
