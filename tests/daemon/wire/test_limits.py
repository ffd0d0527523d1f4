"""What a client may use up: turns of the event loop, bytes that wait for it, lines in the log."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import time

import pytest

from ser_daemon.wire import line_writer
from ser_daemon.wire.encoding import MAX_LINE, encode
from ser_daemon.wire.framing import LineParser, Skipped
from ser_daemon.wire.peer_log import LimitedLog
from ser_daemon.wire.rate_limit import LeakyBucket


@pytest.mark.parametrize(
    ("data", "most"),
    [
        # 300 lines, and what the kernel holds.
        (b"\n" * 65_536, 500_000),
        (b" \n" * 32_768, 500_000),
        # 32 reads of 4 KiB at once, then 250 a second, and what the kernel holds.
        (b'{"type":"ping","payload_length":60000}\n' + b"p" * 60_000, 2_500_000),
        (b'{"type":"ping","data_length":30000}\n' + b" " * 29_998 + b"{}", 2_500_000),
        (b"x" * 60_000 + b"\n", 2_500_000),
    ],
    ids=["blank", "spaces", "payload", "data block", "long line"],
)
async def test_bytes_of_every_kind_count_against_the_limit(wire, data, most):
    client = socket.socket(socket.AF_UNIX)
    client.connect(os.fspath(wire.path))
    client.setblocking(False)
    begun = time.monotonic()
    sent = 0
    while sent < 2 * most and time.monotonic() - begun < 1.0:
        with contextlib.suppress(BlockingIOError):
            sent += client.send(data[sent % len(data) :])
        with contextlib.suppress(BlockingIOError):
            client.recv(65_536)
        await asyncio.sleep(0)
    assert sent < most
    client.close()


async def test_a_read_full_of_blank_lines_is_not_served_in_one_turn_of_the_loop(wire):
    client = socket.socket(socket.AF_UNIX)
    client.connect(os.fspath(wire.path))
    client.sendall(b"\n" * 65_536 + b'{"type":"ping","id":7}\n')
    peer = await wire.listen()
    for _ in range(20):
        assert (await peer.ask({"type": "ping"}))["type"] == "pong"
    client.setblocking(False)
    # The line after them has not been reached: more than 250 lines a second are before it.
    assert b"pong" not in client.recv(65_536)
    client.close()


def test_the_parser_works_in_steps_of_one_line():
    parser = LineParser()
    parser.feed(b"\n\n" + b'{"type":"x","data_length":2,"payload_length":4}\n{}abcd\n')
    steps = []
    while (item := parser.step()) is not None:
        steps.append("-" if isinstance(item, Skipped) else item.type)
    assert steps == ["-", "-", "-", "x", "-", "-"]


def test_a_header_that_waits_for_its_data_block_is_kept_as_bytes():
    import tracemalloc

    line = b'{"type":"x","data_length":9,"data":{"a":[' + b"0.5," * 7_000 + b"0]}}\n"
    parsers = [LineParser() for _ in range(50)]
    tracemalloc.start()
    for parser in parsers:
        parser.feed(line)
        assert parser.take() is None
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 2 * len(parsers) * len(line)


@pytest.mark.parametrize("name", ["device", "reason", "model"])
async def test_no_line_is_longer_than_allowed_whatever_the_daemon_has_to_say(wire, name):
    setattr(wire.status, name, "é" * 100_000)
    peer = await wire.connect()
    assert len(await peer.raw()) <= MAX_LINE
    await peer.send({"type": "status", "id": "i" * 128})
    line = await peer.raw()
    assert len(line) <= MAX_LINE
    assert json.loads(line)["data"]["muted"] is False


def test_a_long_list_is_cut_off_too():
    assert len(encode("x", {"labels": ["a" * 200] * 5_000})) <= MAX_LINE


@pytest.mark.parametrize("identity", ["x" * 32_000, "\U0001f600" * 5_000])
async def test_a_client_cannot_make_answers_longer_than_allowed(wire, identity):
    peer = await wire.listen()
    await peer.send(
        json.dumps({"type": "ping", "id": 1, "data": {"id": identity}}, ensure_ascii=False).encode() + b"\n"
    )
    line = await peer.raw()
    assert len(line) <= MAX_LINE
    assert json.loads(line)["data"]["code"] in ("bad-id", "line-too-long")


async def test_answers_for_clients_that_never_read_are_bounded_together(wire, monkeypatch):
    monkeypatch.setattr(line_writer, "MAX_WAITING_BYTES", 60_000)
    request = json.dumps({"type": "ping", "data": {"text": "é" * 1_000}}).encode() + b"\n"
    clients = []
    for _ in range(30):
        client = socket.socket(socket.AF_UNIX)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(os.fspath(wire.path))
        client.setblocking(False)
        clients.append(client)
    most = 0
    peer = await wire.listen()
    # A second beyond the bound; a slow machine may need a while to reach it.
    begun = time.monotonic()
    while time.monotonic() - begun < (1.0 if most >= 60_000 else 20.0):
        for client in clients:
            with contextlib.suppress(BlockingIOError):
                client.send(request * 8)
        await asyncio.sleep(0.005)
        waiting = wire.server.metrics["answer_bytes_waiting"]
        if most < 60_000 <= waiting:
            begun = time.monotonic()
        most = max(most, waiting)
    answer = 6_100
    assert 60_000 <= most <= 60_000 + len(clients) * answer
    assert (await peer.ask({"type": "ping"}))["type"] == "pong"
    for client in clients:
        client.close()
    await wire.until(lambda: wire.server.metrics["clients"] == 1)
    assert wire.server.metrics["answer_bytes_waiting"] == 0


@pytest.mark.parametrize("field", ["id", "ms", "text", "events", "partial", "min_confidence"])
@pytest.mark.parametrize("type_", ["ping", "mute", "hold", "subscribe", "status", "sing"])
async def test_deep_json_anywhere_gets_one_line_and_no_traceback(wire, caplog, type_, field):
    peer = await wire.connect(wire.control_path)
    await peer.line()
    # Somewhere here is the depth that can still be parsed, but not written or shown.
    for depth in range(820, 1000, 20):
        deep = "[" * depth + "]" * depth
        await peer.send(f'{{"type":"{type_}","id":1,"data":{{"{field}":{deep}}}}}\n'.encode())
        answer = await peer.line()
        assert answer["type"] in ("error", "done", "pong", "status", "subscribed")
        assert len(json.dumps(answer)) < 2_000
    assert "Traceback" not in caplog.text
    assert (await peer.ask({"type": "ping"}))["type"] == "pong"


async def test_a_control_verb_that_ends_in_any_way_leaves_no_connection_behind(wire, monkeypatch, caplog):
    ends = [RecursionError("deep"), asyncio.CancelledError(), MemoryError()]

    async def control(message):
        raise ends.pop()

    monkeypatch.setattr(wire.server._shared.handler, "control", control)
    while ends:
        peer = await wire.connect(wire.control_path)
        await peer.line()
        answer = await peer.ask({"type": "mute", "id": 1})
        assert answer["data"]["code"] == "failed"
        peer.writer.close()
    await wire.until(lambda: wire.server.metrics["clients"] == 0)
    assert "Traceback" not in caplog.text


async def test_a_client_that_goes_while_its_verb_hangs_frees_its_place(wire, monkeypatch):
    from ser_daemon.wire import connection

    monkeypatch.setattr(connection, "HANGUP_SECONDS", 0.02)
    wire.control.gate.clear()
    peer = await wire.connect(wire.control_path)
    await peer.line()
    await peer.send({"type": "mute"})
    await asyncio.sleep(0.05)
    assert wire.server.metrics["clients"] == 1
    peer.writer.transport.abort()
    await wire.until(lambda: wire.server.metrics["clients"] == 0)
    wire.control.gate.set()


def test_what_clients_cause_is_logged_in_few_lines_and_the_others_are_counted(caplog):
    limited, log = LimitedLog(per_minute=3), logging.getLogger("test")
    for number in range(10):
        limited.log(log, logging.WARNING, f"line {number}\n\x1b[31m", now=1000.0 + number)
    limited.log(log, logging.WARNING, "later", now=1061.0)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 4
    assert lines[-1] == "later (7 lines like this were left out.)"
    assert not any(char in line for line in lines for char in "\n\x1b")


async def test_a_bug_is_logged_in_one_line_however_deep_it_is(wire, caplog):
    def deep(number: int) -> int:
        return deep(number + 1) + 1

    async def release() -> None:
        deep(0)

    wire.control.release = release
    peer = await wire.connect(wire.control_path)
    await peer.line()
    assert (await peer.ask({"type": "release"}))["data"]["code"] == "failed"
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "RecursionError" in record.getMessage()
    assert len(record.getMessage()) < 2_000
    assert record.exc_info is None


def test_a_bucket_can_hold_its_level_and_count_no_more_than_its_most():
    bucket = LeakyBucket(1.0, 0.5, most=2.0)
    assert bucket.level(10.0) == 0
    bucket.add(5.0)
    assert bucket.level(10.0) == 2.0
    bucket.hold(20.0)
    assert bucket.level(21.0) == 1.5
    assert bucket.wait(21.0) == 1.0
