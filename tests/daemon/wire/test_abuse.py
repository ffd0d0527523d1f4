"""Misbehaving clients affect no other client."""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket

import pytest

from ser_daemon.wire import connection


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"\x00\xff\x80garbage\n", "bad-line"),
        (b"{}\n", "bad-line"),
        (b"x" * 1_000_000 + b"\n", "line-too-long"),
        (b'{"type":"ping","payload_length":-3}\n', "bad-framing"),
    ],
)
async def test_a_bad_line_gets_an_error_and_the_stream_goes_on(wire, started, line, code):
    peer = await wire.listen()
    error = await peer.ask(line)
    assert (error["type"], error["data"]["code"]) == ("error", code)
    wire.publisher.publish(started)
    assert (await peer.line())["type"] == "voice-started"
    assert (await peer.ask({"type": "ping"}))["type"] == "pong"


async def test_after_half_a_line_and_the_end_of_its_sending_side_a_client_still_gets_events(wire, started):
    peer = await wire.listen()
    await peer.send(b'{"type":"sta')
    peer.writer.write_eof()
    assert (await peer.line())["data"]["code"] == "bad-line"
    wire.publisher.publish(started)
    assert (await peer.line())["type"] == "voice-started"


async def test_random_bytes_from_many_clients_do_not_stop_the_server(wire):
    generator = random.Random(7)
    for _ in range(20):
        peer = await wire.connect()
        peer.writer.write(generator.randbytes(5000))
        peer.writer.close()
    assert (await (await wire.listen()).ask({"type": "ping"}))["type"] == "pong"
    await wire.until(lambda: wire.server.metrics["clients"] == 1)


async def test_a_client_that_never_reads_is_disconnected_and_no_other_client_loses_a_line(wire, emotion, stopped):
    slow = socket.socket(socket.AF_UNIX)
    slow.connect(os.fspath(wire.path))
    healthy = await wire.listen()
    await wire.until(lambda: wire.server.metrics["clients"] == 2)
    received = []

    async def read() -> None:
        async for line in healthy.reader:
            received.append(json.loads(line)["data"])

    reading = asyncio.create_task(read())
    while wire.publisher.cut_off == 0:
        wire.publisher.publish(stopped if wire.publisher.seq % 3 else emotion())
        assert wire.publisher.seq < 10_000
        await asyncio.sleep(0)
    await wire.until(lambda: len(received) == wire.publisher.seq)
    assert [data["seq"] for data in received] == list(range(1, wire.publisher.seq + 1))
    assert not any("dropped" in data for data in received)
    reading.cancel()
    slow.close()


async def test_a_client_that_read_too_slowly_can_still_read_earlier_events_and_the_reason(
    wire, stopped, emotion, caplog
):
    slow = await wire.listen()
    slow.writer.transport.pause_reading()
    while wire.publisher.cut_off == 0:
        wire.publisher.publish(stopped if wire.publisher.seq % 3 else emotion())
    slow.writer.transport.resume_reading()
    lines = [await slow.line()]
    while lines[-1]["type"] != "error":
        lines.append(await slow.line())
    assert lines[-1]["data"]["code"] == "slow-consumer"
    assert await slow.raw() == b""
    assert len(lines) > 100
    # Until then no event was lost.
    numbers = [line["data"]["seq"] for line in lines[:-1]]
    assert numbers == list(range(1, len(numbers) + 1))
    await wire.until(lambda: wire.server.metrics["clients"] == 0)
    assert not [record for record in caplog.records if record.name == "asyncio"]


async def test_a_client_that_does_not_read_the_reason_either_is_disconnected(wire, stopped, monkeypatch):
    monkeypatch.setattr(connection, "CLOSE_SECONDS", 0.05)
    slow = socket.socket(socket.AF_UNIX)
    slow.connect(os.fspath(wire.path))
    await wire.until(lambda: wire.server.metrics["clients"] == 1)
    while wire.publisher.cut_off == 0:
        wire.publisher.publish(stopped)
    await wire.until(lambda: wire.server.metrics["clients"] == 0)
    slow.close()


async def test_a_flood_of_requests_is_throttled_and_other_clients_are_served(wire):
    flood = socket.socket(socket.AF_UNIX)
    flood.connect(os.fspath(wire.path))
    flood.setblocking(False)
    # Every line in the kernel's buffer is answered, at a limited rate. A small buffer keeps the test short.
    flood.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    request = b'{"type":"ping"}\n' * 512
    sent, refused = 0, 0
    while refused < 50:
        assert sent < 20_000_000, "the server takes requests without end"
        try:
            sent += flood.send(request[sent % len(request) :])
            refused = 0
        except BlockingIOError:
            refused += 1
        await asyncio.sleep(0)
    peer = await wire.listen()
    assert (await peer.ask({"type": "ping"}))["type"] == "pong"

    loop, answered = asyncio.get_running_loop(), b""
    while answered.count(b"pong") < sent // len(b'{"type":"ping"}\n'):
        async with asyncio.timeout(10):
            answered += await loop.sock_recv(flood, 1 << 20)
    flood.close()


async def test_closing_the_server_does_not_wait_for_a_client_that_never_reads(wire, stopped):
    slow = socket.socket(socket.AF_UNIX)
    slow.connect(os.fspath(wire.path))
    await wire.until(lambda: wire.server.metrics["clients"] == 1)
    for _ in range(400):
        wire.publisher.publish(stopped)
    async with asyncio.timeout(2):
        await wire.server.close(timeout=0.1)
    assert wire.server.metrics["clients"] == 0
    slow.close()
