"""The client library against a real server."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import subprocess
import sys
import threading

import pytest

import ser_daemon
import ser_model
from ser_daemon.client import (
    Activation,
    AsyncClient,
    Client,
    Emotion,
    Hello,
    NotRunning,
    ProtocolError,
    RequestFailed,
    VoiceStarted,
)


async def collect(wire, client, count, events, **options):
    """Subscribe with the synchronous client in a thread, publish, and return the first `count` events."""
    stream = client.subscribe(**options)
    found = [await asyncio.to_thread(next, stream)]
    await wire.until(lambda: wire.publisher.metrics["subscribers"] == 1)
    for event in events:
        wire.publisher.publish(event)
    while len(found) < count:
        found.append(await asyncio.wait_for(asyncio.to_thread(next, stream), 10))
    return found


async def test_events_are_read_as_they_were_published(wire, started, emotion, stopped):
    events = [started, emotion(), emotion(final=True), stopped]
    with Client(wire.path) as client:
        hello, *found = await collect(wire, client, 5, events)
    assert isinstance(hello, Hello)
    assert hello.state == "listening"
    assert found == [event.numbered(seq) for seq, event in enumerate(events, 1)]


async def test_a_filter_is_applied_from_the_first_event_on(wire, started, emotion):
    with Client(wire.path) as client:
        stream = client.subscribe(events=["emotion"], partial=False, min_confidence=0.5)
        assert isinstance(await asyncio.to_thread(next, stream), Hello)
        waiting = asyncio.create_task(asyncio.to_thread(next, stream))
        while not waiting.done():
            for event in (started, emotion(), emotion(final=True, confidence=0.2), emotion(final=True)):
                wire.publisher.publish(event)
            await asyncio.sleep(0.005)
        event = await waiting
    assert isinstance(event, Emotion)
    assert (event.final, event.confidence) == (True, 0.58)


async def test_requests_are_answered_and_control_verbs_go_to_the_control_socket(wire):
    client = Client(wire.path)
    assert (await asyncio.to_thread(client.request, "ping", text="hi"))["text"] == "hi"
    assert (await asyncio.to_thread(client.request, "status"))["device"] == "USB Mic"
    await asyncio.to_thread(client.request, "mute")
    await asyncio.to_thread(client.request, "hold", ms=500)
    assert wire.control.calls == ["mute", ("hold", 500)]


async def test_both_clients_correct_the_label_of_an_utterance(wire):
    answer = await asyncio.to_thread(Client(wire.path).label, "u-17", "happy")
    assert (answer["utterance_id"], answer["label"], answer["taught"]) == ("u-17", "happy", 2)
    assert await AsyncClient(wire.path).label("last", "sad") == {
        **answer,
        "label": "sad",
        "text": "u-17 counts as sad.",
    }
    assert wire.control.calls == [("label", "u-17", "happy"), ("label", "last", "sad")]
    with pytest.raises(RequestFailed, match=r"label must be one of neutral, .*, not 'bored'\."):
        await AsyncClient(wire.path).label("last", "bored")


async def test_a_refusal_carries_the_code_and_text_of_the_daemon(wire):
    with pytest.raises(RequestFailed, match="must be silero") as refusal:
        await asyncio.to_thread(Client(wire.path).request, "reload")
    assert refusal.value.code == "failed"


async def test_a_request_without_an_answer_times_out(wire):
    wire.control.gate.clear()
    with pytest.raises(NotRunning, match=r"within 0\.1 s"):
        await asyncio.to_thread(Client(wire.path, timeout=0.1).request, "mute")
    wire.control.gate.set()


def test_without_a_daemon_the_error_names_the_sockets_and_what_to_start(folder):
    with pytest.raises(NotRunning, match=r"nobody listens on .*ser\.sock.*ser-daemon --mic"):
        Client(folder / "ser.sock").request("status")
    with pytest.raises(NotRunning):
        next(Client(folder / "ser.sock").subscribe())


async def test_closing_the_client_ends_a_stream_that_waits_in_another_thread(wire):
    client = Client(wire.path)
    stream = client.subscribe()
    await asyncio.to_thread(next, stream)
    ended = threading.Event()

    def wait() -> None:
        assert list(stream) == []
        ended.set()

    thread = threading.Thread(target=wait)
    thread.start()
    await wire.until(lambda: wire.server.metrics["clients"] == 1)
    client.close()
    assert await asyncio.to_thread(ended.wait, 10)
    await asyncio.to_thread(thread.join)


async def test_the_stream_ends_with_an_error_when_the_daemon_goes_away(wire):
    stream = Client(wire.path).subscribe()
    await asyncio.to_thread(next, stream)
    await wire.server.close()
    with pytest.raises(NotRunning, match="closed the connection"):
        await asyncio.to_thread(next, stream)


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_with_reconnect_the_client_connects_to_a_restarted_daemon(wire, new_wire, started, kind):
    lost: list[str] = []

    def record(error: Exception) -> None:
        lost.append(type(error).__name__)

    if kind == "sync":
        sync = Client(wire.path).subscribe(reconnect=True, on_lost=record)

        async def read():
            return await asyncio.to_thread(next, sync)
    else:
        read = AsyncClient(wire.path).subscribe(reconnect=True, on_lost=record).__anext__

    assert isinstance(await read(), Hello)
    await wire.server.close()
    waiting = asyncio.create_task(read())
    await wire.until(lambda: len(lost) >= 2)
    again = new_wire()
    await again.start()
    assert isinstance(await asyncio.wait_for(waiting, 10), Hello)
    again.publisher.publish(started)
    assert isinstance(await asyncio.wait_for(read(), 10), VoiceStarted)
    assert set(lost) == {"NotRunning"}
    await again.close()


async def test_the_asynchronous_client_does_the_same(wire, started, emotion):
    async with AsyncClient(wire.path) as client, asyncio.timeout(10):
        assert (await client.request("ping", text="hi"))["text"] == "hi"
        await client.request("hold", ms=500)
        stream = client.subscribe()
        assert isinstance(await anext(stream), Hello)
        wire.publisher.publish(started)
        assert await anext(stream) == started.numbered(1)
        with pytest.raises(RequestFailed, match="must be silero"):
            await client.request("reload")
    assert wire.control.calls == [("hold", 500)]
    async with asyncio.timeout(10):
        assert [event async for event in stream] == []


@contextlib.asynccontextmanager
async def server_of(path, *emotions):
    """A server that greets and sends emotions with these fields."""
    hello = {"server": "s", "model": "m", "labels": [], "state": "listening", "speaking": False, "muted": False}
    messages = [{"type": "hello", "data": hello}, *({"type": "emotion", "data": data} for data in emotions)]

    async def serve(reader, writer):
        writer.writelines(json.dumps(message).encode() + b"\n" for message in messages)
        await reader.read()
        writer.close()

    server = await asyncio.start_unix_server(serve, path)
    yield
    # From Python 3.12 on, leaving the server's own context waits for clients, which stay connected here.
    server.close()


@pytest.fixture(params=["sync", "async"])
async def next_of(request, folder):
    """Reads the next event of either client."""
    if request.param == "async":
        async with contextlib.aclosing(AsyncClient(folder / "s").subscribe()) as events:
            yield events.__anext__
    else:
        with contextlib.closing(Client(folder / "s").subscribe()) as events:
            yield functools.partial(asyncio.to_thread, next, events)


async def test_both_clients_read_an_activation_a_null_and_none_of_an_older_daemon(folder, next_of, emotion):
    null = emotion().data()
    older = {name: value for name, value in null.items() if name != "activation"}
    known = {**null, "activation": {"level": "low", "probability": 0.07}}
    async with asyncio.timeout(10), server_of(folder / "s", known, null, older):
        assert isinstance(await next_of(), Hello)
        assert (await next_of()).activation == Activation(level="low", probability=0.07)
        assert await next_of() == emotion()
        assert await next_of() == emotion()


async def test_both_clients_refuse_a_damaged_activation(folder, next_of, emotion):
    damaged = {**emotion().data(), "activation": {"level": "low", "probability": "0.07"}}
    async with asyncio.timeout(10), server_of(folder / "s", damaged):
        assert isinstance(await next_of(), Hello)
        with pytest.raises(ProtocolError, match=r"'activation' with probability = '0\.07'; expected float"):
            await next_of()


async def test_another_program_at_the_socket_is_recognised(folder):
    async def serve(reader, writer):
        writer.write(b"220 mail.example ESMTP\n")

    server = await asyncio.start_unix_server(serve, folder / "s")
    with pytest.raises(ProtocolError, match="Not a line of ser-daemon"):
        await asyncio.to_thread(next, Client(folder / "s").subscribe())
    server.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may connect everywhere")
async def test_the_error_for_a_socket_of_another_user_names_a_remedy(wire):
    wire.path.chmod(0)
    with pytest.raises(Exception, match="You may not connect"):
        await asyncio.to_thread(Client(wire.path).request, "status")


def test_the_client_imports_nothing_but_the_standard_library():
    code = (
        "import sys; import ser_daemon.client; "
        "print(sorted(n for n in {m.split('.')[0] for m in sys.modules} "
        "if n not in sys.stdlib_module_names and not n.startswith(('_', 'ser_'))))"
    )
    # -S: editable installs add import finders to every interpreter.
    paths = os.pathsep.join(os.path.dirname(m.__path__[0]) for m in (ser_daemon, ser_model))
    result = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert result.stdout.strip() == "[]", result.stderr
