"""Clients that break the rules: each is survived, and costs bounded memory."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import time

import pytest
from wyoming.audio import AudioChunk, AudioStart
from wyoming.error import Error
from wyoming.info import Describe
from wyoming.ping import Ping

from support.daemon import wait_for
from support.ports import free_port
from support.speech import sentence
from support.wyoming_bridge import WyomingBridge, finals, play, tone, until_pong

START = b'{"type":"audio-start","data":{"rate":16000,"width":2,"channels":1}}\n'
CHUNK = b'{"type":"audio-chunk","data":{"rate":16000,"width":2,"channels":1},"payload_length":32000}\n'


async def still_works(bridge: WyomingBridge) -> None:
    async with bridge.client() as client:
        assert len(finals(await play(client, sentence().tobytes()))) == 1
    assert "Traceback" not in bridge.stderr


@pytest.mark.parametrize(
    ("sent", "sentence_"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "A line is not JSON"),
        (b"\x16\x03\x01\x02\n", "A line is not JSON"),
        (b"x" * 100_000, "A header is longer than"),
        (b'{"type":"a","payload_length":1e9}\n', "payload_length must be an integer"),
        (b'{"type":"audio-chunk","payload_length":99999999999}\n', "payload_length must be an integer"),
        (b'{"type":"a","data_length":3}\n[1]', "A line must be a JSON object"),
    ],
)
async def test_what_is_no_event_gets_a_sentence_and_the_end(bridge: WyomingBridge, sent: bytes, sentence_: str) -> None:
    async with bridge.client() as client:
        assert client._writer is not None
        client._writer.write(sent)
        event = await client.read_event()
        assert event is not None
        error = Error.from_event(event)
        assert error.code == "bad-framing"
        assert error.text.startswith(sentence_)
        assert await client.read_event() is None
    await still_works(bridge)


@pytest.mark.parametrize(
    ("rate", "width", "channels", "payload", "sentence_"),
    [
        (0, 2, 1, b"", "The audio cannot be used: its sample rate is 0 Hz"),
        (10**9, 2, 1, b"", "The audio cannot be used: its sample rate is 1e+09 Hz"),
        (16_000, 5, 1, b"", "audio-start: width is 5 bytes"),
        (16_000, 2, 99, b"", "The audio cannot be used: it has 99 channels"),
        ("fast", 2, 1, b"", "audio-start: rate is 'fast'"),
        (48_000, 2, 1, b"", None),
        (16_000, 2, 1, b"abc", "audio-chunk: its payload of 3 bytes ends within a frame"),
        (48_000, 2, 1, b"abcd", "audio-chunk: 16000 Hz, 1 channels, s16le after 48000 Hz, 1 channels, s16le"),
    ],
)
async def test_a_format_that_cannot_be_used_gets_one_sentence_and_the_client_may_try_again(
    bridge: WyomingBridge, rate: int, width: int, channels: int, payload: bytes, sentence_: str | None
) -> None:
    async with bridge.client() as client:
        await client.write_event(AudioStart(rate, width, channels).event())
        for _ in range(3):
            await client.write_event(AudioChunk(16_000, 2, 1, audio=payload or bytes(64)).event())
        await client.write_event(Ping().event())
        events = await until_pong(client)
        if sentence_ is None:
            sentence_ = "audio-chunk: 16000 Hz, 1 channels, s16le after 48000 Hz"
        assert [event.type for event in events] == ["error"], "one sentence, not one for each chunk"
        assert Error.from_event(events[0]).code == "bad-audio"
        assert Error.from_event(events[0]).text.startswith(sentence_)
        assert len(finals(await play(client, sentence().tobytes()))) == 1


async def test_events_of_satellites_and_unknown_ones_are_ignored(bridge: WyomingBridge) -> None:
    async with bridge.client() as client:
        assert client._writer is not None
        client._writer.write(
            b'\n{"type":"run-satellite"}\n{"type":"x","data":null,"payload_length":70000}\n' + bytes(70_000)
        )
        client._writer.write(b'{"type":"audio-stop"}\n{"type":"ping","data":{"text":5}}\n')
        assert await until_pong(client) == []
        await client.write_event(Ping("z" * 9_000).event())
        pong = await client.read_event()
        assert pong is not None
        assert pong.data["text"] == "z" * 1024


async def test_a_sudden_end_in_an_utterance_is_survived(bridge: WyomingBridge) -> None:
    for cut in (1, 30, len(START) + 10, len(START) + len(CHUNK) + 5_001):
        sock = bridge.raw()
        sock.sendall((START + CHUNK + sentence().tobytes()[:32_000])[:cut])
        sock.close()
    await still_works(bridge)


async def test_a_subscription_without_a_daemons_events_is_refused(bridge: WyomingBridge) -> None:
    async with bridge.client() as client:
        assert client._writer is not None
        client._writer.write(b'{"type":"subscribe"}\n')
        event = await client.read_event()
        assert event is not None
        assert Error.from_event(event).code == "not-permitted"


async def test_endless_audio_of_fast_clients_costs_bounded_memory_and_delays_others_little() -> None:
    with WyomingBridge() as bridge:
        async with bridge.client() as client:
            await play(client, sentence().tobytes())
        before = bridge.memory_mb()
        flood = CHUNK + tone(1.0)
        stop = time.monotonic() + 6
        sent = 0

        async def endless() -> None:
            nonlocal sent
            _, writer = await asyncio.open_unix_connection(bridge.path)
            writer.write(START)
            while time.monotonic() < stop:
                writer.write(flood)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.5):
                        await writer.drain()
                        sent += len(flood)
            writer.transport.abort()

        floods = [asyncio.create_task(endless()) for _ in range(6)]
        await asyncio.sleep(1)
        begun = time.monotonic()
        async with bridge.client() as client:
            assert len(finals(await play(client, sentence().tobytes()))) == 1
        waited = time.monotonic() - begun
        peak = bridge.memory_mb()
        await asyncio.gather(*floods)
        assert sent > 32_000 * 20, "the floods were processed"
        assert peak - before < 6 * 4, "at most about 1.5 MB wait for each"
        assert waited < 5
        await still_works(bridge)


async def test_many_starts_of_audio_cost_bounded_memory(bridge: WyomingBridge) -> None:
    await still_works(bridge)
    before, peak = bridge.memory_mb(), 0.0
    start = b'{"type":"audio-start","data":{"rate":48000,"width":2,"channels":1}}\n'
    async with bridge.client() as client:
        assert client._writer is not None
        for _ in range(10):
            client._writer.write(start * 200)
            await client._writer.drain()
            peak = max(peak, bridge.memory_mb())
        await client.write_event(Ping().event())
        assert await until_pong(client) == []
    assert peak - before < 30
    await still_works(bridge)


async def test_a_client_that_never_reads_is_disconnected(bridge: WyomingBridge) -> None:
    sock = bridge.raw()
    sock.setblocking(False)
    describe = b'{"type":"describe"}\n' * 1_000
    before = bridge.memory_mb()

    def refused() -> bool:
        try:
            sock.send(describe)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return False

    wait_for(refused)
    wait_for(lambda: "it does not read its events" in bridge.stderr)
    assert bridge.memory_mb() - before < 10
    sock.close()
    await still_works(bridge)


async def test_one_client_more_than_allowed_is_refused_with_a_sentence() -> None:
    with WyomingBridge("--max-clients", "2") as bridge:
        async with bridge.client() as one, bridge.client() as two:
            for client in (one, two):
                await client.write_event(Describe().event())
                assert await client.read_event() is not None
            async with bridge.client() as third:
                event = await third.read_event()
                assert event is not None
                assert Error.from_event(event).code == "too-many-clients"
                assert await third.read_event() is None
        await asyncio.sleep(0.2)
        await still_works(bridge)


def run(*arguments: str, environment: dict[str, str] | None = None) -> tuple[int, str]:
    """Run a service that cannot start; return its exit status and its message."""
    command = [sys.executable, "-m", "ser_bridges.wyoming.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    return done.returncode, done.stderr


def test_a_port_that_is_taken_ends_it_with_a_sentence() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        status, message = run("--uri", f"tcp://127.0.0.1:{port}")
    assert status == 2
    assert message == f"ser-wyoming: Cannot listen on 127.0.0.1:{port}: Address already in use; choose another --uri.\n"


def test_a_socket_of_another_process_stays_and_a_stale_one_is_replaced(bridge: WyomingBridge) -> None:
    status, message = run("--uri", bridge.uri)
    assert (status, message.count("\n")) == (2, 1)
    assert f"Another process listens on {bridge.path}; stop it" in message
    file = bridge.folder / "file"
    file.write_text("mine")
    status, message = run("--uri", f"unix://{file}")
    assert status == 2
    assert "exists and is no socket" in message
    assert file.read_text() == "mine"
    stale = bridge.folder / "stale.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(stale))
    with WyomingBridge(uri=f"unix://{stale}"):
        pass
    assert not stale.exists()


@pytest.mark.parametrize(
    ("arguments", "sentence_"),
    [
        (("--uri", "localhost:10700"), "is no address of a Wyoming service; expected tcp://HOST:PORT or unix:///PATH."),
        (("--uri", "unix:///no/such/folder/x"), "Cannot listen on /no/such/folder/x: No such file or directory;"),
        (("--uri", "tcp://127.0.0.1:1", "--threads", "0"), "expected a whole number from 1 to 4096, got '0'"),
        (("--uri", "tcp://127.0.0.1:1", "--model", "/none"), "/none"),
        ((), "the following arguments are required: --uri"),
    ],
)
def test_what_cannot_start_says_why(arguments: tuple[str, ...], sentence_: str) -> None:
    status, message = run(*arguments)
    assert status == 2
    assert sentence_ in message
    assert "Traceback" not in message


def test_a_missing_library_names_its_extra() -> None:
    code = "import sys; sys.modules['wyoming'] = None; from ser_bridges.wyoming.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "--uri", "tcp://127.0.0.1:1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "install the extra wyoming: pip install 'ser-daemon[wyoming]'." in done.stderr
    assert done.stderr.count("\n") == 1
