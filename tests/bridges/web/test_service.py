"""`ser-web` and programs: both streams, and who is refused."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from ser_daemon.wire.events import VoiceStarted
from support.scripted_daemon import TIME, ScriptedDaemon, emotion, utterance
from support.web_bridge import WebBridge, until

aiohttp = pytest.importorskip("aiohttp", reason="aiohttp is not installed (extra web)")
pytest.importorskip("aiohttp.web")

Web = Callable[..., WebBridge]


@contextlib.asynccontextmanager
async def connected(bridge: WebBridge, **headers: str) -> AsyncIterator[Any]:
    """A WebSocket to the service, past `hello` and with its subscription in force."""
    async with (
        aiohttp.ClientSession(headers=bridge.headers | headers) as session,
        session.ws_connect(f"{bridge.address}socket") as stream,
    ):
        await until(stream, "hello")
        await stream.send_json({"type": "ping", "id": "ready"})
        await until(stream, "pong", id="ready")
        yield stream


async def get(bridge: WebBridge, path: str = "status", **headers: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(bridge.address + path, headers=headers) as answer:
        return answer.status, await answer.text()


async def test_a_websocket_has_the_lines_of_the_daemon(daemon: ScriptedDaemon, web: Web) -> None:
    bridge = web()
    async with connected(bridge) as stream:
        # A request does not stop the events.
        daemon.utterance(1)
        names = [(await stream.receive_json(timeout=20))["type"] for _ in range(4)]
        assert names == ["voice-started", "emotion", "emotion", "voice-stopped"]
        await stream.send_json({"type": "subscribe", "id": 5, "data": {"partial": False, "events": ["emotion"]}})
        assert (await until(stream, "subscribed", id=5))["data"]["partial"] is False
        daemon.utterance(2)
        event = await stream.receive_json(timeout=20)
        assert event["data"] == emotion("u-2", "angry", final=True).data() | {"seq": event["data"]["seq"]}
        await stream.send_json({"type": "status", "id": "s"})
        assert (await until(stream, "status", id="s"))["data"]["device"] == "USB Mic"
        await stream.send_json({"type": "label", "id": 6, "data": {"utterance_id": "u-2", "label": "happy"}})
        assert (await until(stream, "error", id=6))["data"]["code"] == "not-permitted"
        await stream.send_bytes(b"{}")
        assert (await until(stream, "error"))["data"]["code"] == "bad-line"
        await stream.send_json({"type": "ping", "id": 7})
        await until(stream, "pong", id=7)


async def test_control_verbs_go_to_the_control_socket(daemon: ScriptedDaemon, web: Web) -> None:
    async with connected(web()) as stream:
        for name, data in (("mute", {}), ("hold", {"ms": 500}), ("release", {}), ("unmute", {})):
            await stream.send_json({"type": name, "id": name, "data": data})
            await until(stream, "done", id=name)
        daemon.control.refusal = "The state cannot be written."
        await stream.send_json({"type": "mute", "id": 1})
        assert (await until(stream, "error", id=1))["data"]["text"] == daemon.control.refusal
    assert daemon.control.calls == ["mute", ("hold", 500), "release", "unmute"]


async def test_read_only_passes_no_control_verb_on(daemon: ScriptedDaemon, web: Web) -> None:
    async with connected(web("--read-only")) as stream:
        await stream.send_json({"type": "mute", "id": 1})
        assert (await until(stream, "error", id=1))["data"]["code"] == "not-permitted"
    assert daemon.control.calls == []


async def test_server_sent_events_have_the_filter_of_the_query(daemon: ScriptedDaemon, web: Web) -> None:
    bridge = web()
    query = "events?events=emotion&partial=false&min_confidence=0.5"
    async with (
        aiohttp.ClientSession(headers=bridge.headers) as session,
        session.get(bridge.address + query) as answer,
        asyncio.timeout(20),
    ):
        assert answer.content_type == "text/event-stream"
        assert (await answer.content.readuntil(b"\n\n")).startswith(b'event: hello\ndata: {"type":"hello"')
        for number in (1, 2):
            # The first may come before the filter is in force.
            daemon.utterance(number)
            await asyncio.sleep(0.2)
        daemon.utterance(3)
        while b'"u-3"' not in (event := await answer.content.readuntil(b"\n\n")):
            assert event.startswith(b'event: emotion\ndata: {"type":"emotion"')
        assert b'"final":true' in event
    for bad, word in (("events?x=1", "expected events"), ("events?partial=1", "true or false")):
        code, text = await get(bridge, bad, **bridge.headers)
        assert code == 400
        assert word in text


async def test_a_wrong_token_a_foreign_page_and_a_foreign_name_are_refused(daemon: ScriptedDaemon, web: Web) -> None:
    bridge = web("--name", "kitchen.local")
    port, bearer = bridge.port, bridge.headers
    own = f"http://127.0.0.1:{port}"
    for path in ("status", "events", "socket"):
        for wrong in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {bridge.token}"}):
            assert (await get(bridge, path, **wrong))[0] == 401
        assert (await get(bridge, path, **bearer, Origin="http://evil.example"))[0] == 403
        assert (await get(bridge, path, **bearer, Origin=f"http://localhost:{port}"))[0] == 403
        assert (await get(bridge, path, **bearer, Host=f"evil.example:{port}"))[0] == 403
    assert (await get(bridge, "", Host="evil.example"))[0] == 403
    assert (await get(bridge, **bearer, Origin=own))[0] == 200
    assert (await get(bridge, **bearer, Host=f"kitchen.local:{port}"))[0] == 200
    async with aiohttp.ClientSession() as session:
        for offered in (["ser-daemon"], ["ser-daemon", "token.wrong"]):
            with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
                await session.ws_connect(bridge.address + "socket", protocols=offered)
        offered = ["ser-daemon", f"token.{bridge.token}"]
        async with session.ws_connect(bridge.address + "socket", protocols=offered) as stream:
            assert stream.protocol == "ser-daemon", "the token is not sent back"


@pytest.mark.parametrize("path", ["", "page.js", "page.css", "none", "status", "events"])
async def test_each_answer_forbids_caches_frames_and_foreign_resources(
    daemon: ScriptedDaemon, web: Web, path: str
) -> None:
    bridge = web()
    async with aiohttp.ClientSession() as session, session.get(bridge.address + path) as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "aiohttp" not in answer.headers["Server"]


async def test_the_daemon_may_be_absent_and_restart_and_the_subscription_stays(folder: Path, web: Web) -> None:
    bridge = web()
    bridge.wait_for_log("No daemon is running", "Waiting for it.")
    assert (await get(bridge, **bridge.headers))[0] == 503
    async with (
        aiohttp.ClientSession(headers=bridge.headers) as session,
        session.ws_connect(f"{bridge.address}socket") as stream,
    ):
        assert (await until(stream, "error"))["data"]["code"] == "no-daemon"
        for name in ("status", "mute"):
            await stream.send_json({"type": name, "id": name})
            assert (await until(stream, "error", id=name))["data"]["code"] == "no-daemon"
        with ScriptedDaemon(folder) as daemon:
            await until(stream, "hello")
            await stream.send_json({"type": "subscribe", "id": 1, "data": {"partial": False}})
            await until(stream, "subscribed", id=1)
            await asyncio.to_thread(daemon.stop)
            assert (await until(stream, "error"))["data"]["code"] == "no-daemon"
            daemon.start()
            await until(stream, "hello")
            await stream.send_json({"type": "ping", "id": 2})
            await until(stream, "pong", id=2)
            daemon.utterance(1)
            names = [(await stream.receive_json(timeout=20))["type"] for _ in range(3)]
            assert names == ["voice-started", "emotion", "voice-stopped"], "no partial result"


async def test_one_client_too_many_is_refused_until_another_leaves(daemon: ScriptedDaemon, web: Web) -> None:
    bridge = web("--max-clients", 1)
    async with connected(bridge):
        code, text = await get(bridge, "events", **bridge.headers)
        assert code == 503
        assert "--max-clients" in text
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(aiohttp.WSServerHandshakeError):
                async with connected(bridge):
                    break


async def test_a_message_that_is_too_long_ends_the_connection(daemon: ScriptedDaemon, web: Web) -> None:
    async with connected(web()) as stream:
        await stream.send_str('{"type":"ping","data":{"text":"' + "x" * 40_000 + '"}}')
        message = await stream.receive(timeout=20)
        while message.type is aiohttp.WSMsgType.TEXT:
            message = await stream.receive(timeout=20)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1009)


def request_of(bridge: WebBridge) -> bytes:
    return (
        f"GET /events HTTP/1.1\r\nHost: 127.0.0.1:{bridge.port}\r\nAuthorization: Bearer {bridge.token}\r\n\r\n"
    ).encode()


async def test_a_client_that_never_reads_takes_no_memory_and_holds_nobody_up(daemon: ScriptedDaemon, web: Web) -> None:
    def memory_mb() -> float:
        return int(Path(f"/proc/{bridge.process.pid}/statm").read_text().split()[1]) * 4096 / 1e6

    bridge = web()
    lazy = socket.create_connection(("127.0.0.1", bridge.port))
    lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    lazy.sendall(request_of(bridge))
    async with connected(bridge) as stream:
        before, seen = memory_mb(), 0
        for number in range(40):
            events = [VoiceStarted(utterance_id="u" * 20_000, timestamp=0, time=TIME) for _ in range(20)]
            await asyncio.to_thread(daemon.publish, *events, *utterance(number))
            while (await until(stream, "voice-stopped"))["data"]["utterance_id"] != f"u-{number}":
                pass
            seen += 1
        # 16 MB were sent to the one that reads.
        assert memory_mb() - before < 6
        assert seen == 40
    lazy.close()


async def test_a_client_that_takes_nothing_is_given_up(daemon: ScriptedDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    from ser_bridges.web import server, streams

    monkeypatch.setattr(streams, "SEND_SECONDS", 0.5)
    settings = server.Settings(token="0123456789abcdef", socket=daemon.socket)
    runner = aiohttp.web.AppRunner(server.WebService(settings).application())
    await runner.setup()
    await aiohttp.web.TCPSite(runner, "127.0.0.1", 0).start()
    lazy = socket.create_connection(runner.addresses[0])
    lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    lazy.settimeout(20)
    lazy.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer 0123456789abcdef\r\n\r\n")
    assert (await asyncio.to_thread(lazy.recv, 100)).startswith(b"HTTP/1.1 200")
    assert runner.server is not None
    async with asyncio.timeout(20):
        while runner.server.connections:
            events = [VoiceStarted(utterance_id="u" * 20_000, timestamp=0, time=TIME) for _ in range(20)]
            await asyncio.to_thread(daemon.publish, *events)
            await asyncio.sleep(0.05)
    lazy.close()
    await runner.cleanup()


async def test_strangers_who_send_nothing_keep_nobody_out(daemon: ScriptedDaemon, web: Web) -> None:
    bridge = web("--max-clients", 2)
    async with connected(bridge) as stream:
        strangers = [socket.create_connection(("127.0.0.1", bridge.port)) for _ in range(200)]
        assert (await get(bridge, **bridge.headers))[0] == 200
        await stream.send_json({"type": "ping", "id": 1})
        await until(stream, "pong", id=1)
        descriptors = len(list(Path(f"/proc/{bridge.process.pid}/fd").iterdir()))
        assert descriptors < 120, "2 clients, 64 others, and those that came at once"
        for stranger in strangers:
            stranger.close()


NO_HTTP = (
    b"\0\xff" * 40 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n",
)


def test_what_is_no_http_is_answered_and_not_logged(daemon: ScriptedDaemon, web: Web) -> None:
    bridge = web()
    for data in NO_HTTP:
        with socket.create_connection(("127.0.0.1", bridge.port)) as client:
            client.settimeout(20)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                client.sendall(data)
                assert client.recv(4096).startswith((b"HTTP/1.0 4", b"HTTP/1.1 4"))
    assert bridge.log.count("\n") == 1, bridge.log


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ser_bridges.web.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_port_that_is_taken_is_one_sentence(daemon: ScriptedDaemon, web: Web) -> None:
    port = web().port
    done = run("--socket", daemon.socket, "--port", port)
    assert done.stderr == (
        f"ser-web: Cannot listen on 127.0.0.1, port {port}: Address already in use; choose another --host or --port.\n"
    )
    assert (done.returncode, done.stdout) == (2, "")


def test_a_token_from_a_file_is_not_printed_and_other_machines_are_warned_of(
    daemon: ScriptedDaemon, web: Web, folder: Path
) -> None:
    path = folder / "token"
    path.write_text("0123456789abcdef")
    path.chmod(0o600)
    bridge = web("--token-file", path, "--host", "0.0.0.0", "--name", "kitchen.local")
    assert bridge.link.startswith("http://kitchen.local:")
    bridge.wait_for_log("Other machines can connect.", f"the token is in {path}")
    assert "0123456789abcdef" not in bridge.log
    path.chmod(0o644)
    done = run("--socket", daemon.socket, "--port", 0, "--token-file", path)
    assert done.stderr == f"ser-web: {path} can be used by other users of this machine: chmod 600 {path}\n"
    assert done.returncode == 2


def test_a_token_is_not_written_to_the_journal(daemon: ScriptedDaemon, folder: Path) -> None:
    with (folder / "journal").open("wb") as journal:
        status = (folder / "journal").stat()
        command = [
            "env",
            f"JOURNAL_STREAM={status.st_dev}:{status.st_ino}",
            sys.executable,
            "-m",
            "ser_bridges.web.cli",
        ]
        done = subprocess.run(
            [*command, "--port", "0"], stdout=journal, stderr=subprocess.PIPE, timeout=60, check=False
        )
    assert b"--token-file" in done.stderr
    assert done.returncode == 2


def test_a_signal_ends_it_at_once_with_clients_connected(daemon: ScriptedDaemon, web: Web) -> None:
    bridge = web()
    with socket.create_connection(("127.0.0.1", bridge.port)) as client:
        client.settimeout(20)
        client.sendall(request_of(bridge))
        assert client.recv(4096).startswith(b"HTTP/1.1 200")
        bridge.process.terminate()
        assert bridge.process.wait(5) == 0
    assert "Traceback" not in bridge.log


def test_a_missing_library_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['aiohttp'] = None; from ser_bridges.web.cli import main; "
        "sys.exit(main(['--port', '0']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == (
        "ser-web: The library aiohttp is missing; install the extra web: pip install 'ser-daemon[web]'.\n"
    )
    assert done.returncode == 2
