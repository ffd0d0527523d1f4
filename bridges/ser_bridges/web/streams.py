"""The two streams: WebSocket, and server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

from aiohttp import WSCloseCode, WSMsgType, web

from ser_bridges.daemon import Daemon
from ser_bridges.web.relay import Relay
from ser_bridges.web.requests import COMMANDS, MAX_MESSAGE, BadRequest, encode, read_request
from ser_daemon.client import RequestFailed
from ser_model.errors import SerError

log = logging.getLogger(__name__)

PROTOCOL = "ser-daemon"
"""Subprotocol of the WebSocket."""

HEARTBEAT = 20.0
"""Seconds between two signs of life on a stream without events."""

SEND_SECONDS = 30.0
"""A client that takes nothing for so long is gone."""


class Streams:
    """The streams that are open."""

    def __init__(self, daemon: Daemon, socket: Path | None, *, read_only: bool, most: int) -> None:
        """Prepare.

        Args:
            daemon: carries out the control verbs.
            socket: the daemon's event socket; None: the usual ones.
            read_only: whether control verbs are refused.
            most: streams at once.
        """
        self._daemon = daemon
        self._path = socket
        self._read_only = read_only
        self._most = most
        self._open: set[web.WebSocketResponse | asyncio.Task[None]] = set()

    async def close(self, _app: web.Application) -> None:
        """End all streams."""
        for stream in tuple(self._open):
            if isinstance(stream, asyncio.Task):
                stream.cancel()
            else:
                await stream.close(code=WSCloseCode.GOING_AWAY, message=b"ser-web ends")

    async def events(self, request: web.Request, subscription: dict[str, object]) -> web.StreamResponse:
        """Answer with server-sent events (HTML standard, 9.2), one for each line of the daemon."""
        self._check_place()
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
            await response.prepare(request)
            with _giving_up(request):
                async with contextlib.aclosing(_with_heartbeat(Relay(self._path, subscription))) as lines:
                    async for line in lines:
                        async with asyncio.timeout(SEND_SECONDS):
                            await response.write(_server_sent(line))
                async with asyncio.timeout(SEND_SECONDS):
                    await response.write_eof()
            return response
        finally:
            self._open.discard(task)

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        """Serve a WebSocket: each message is a line of the daemon's protocol, in both directions."""
        self._check_place()
        socket = web.WebSocketResponse(
            heartbeat=HEARTBEAT, max_msg_size=MAX_MESSAGE, protocols=(PROTOCOL,), compress=False, timeout=2.0
        )
        if not socket.can_prepare(request):
            raise web.HTTPBadRequest(text="This address is for WebSockets; /events has server-sent events.\n")
        await socket.prepare(request)
        self._open.add(socket)
        relay = Relay(self._path)
        sending = asyncio.create_task(_send_lines(relay, socket, request))
        try:
            async for message in socket:
                await self._answer(message.data if message.type is WSMsgType.TEXT else "", relay, socket)
        finally:
            self._open.discard(socket)
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending
        return socket

    def _check_place(self) -> None:
        if len(self._open) >= self._most:
            text = f"ser-web has {len(self._open)} clients already; close one, or see its --max-clients.\n"
            raise web.HTTPServiceUnavailable(text=text)

    async def _answer(self, text: str, relay: Relay, socket: web.WebSocketResponse) -> None:
        """Pass a request on, and answer what the daemon does not answer on its stream."""
        try:
            request = read_request(text, read_only=self._read_only)
            if request.name not in COMMANDS:
                if not await relay.send(request.line):
                    raise BadRequest("no-daemon", "There is no daemon now.", request.id)
                return
            log.info("A client asks for %s.", request.name)
            try:
                answer = encode("done", await self._daemon.control(request.name, **request.data), request.id)
            except RequestFailed as error:
                raise BadRequest(error.code, str(error), request.id) from None
            except SerError as error:
                raise BadRequest("no-daemon", str(error), request.id) from None
        except BadRequest as error:
            answer = error.line
        with contextlib.suppress(ConnectionError):
            await socket.send_str(answer.decode())


def _server_sent(line: bytes) -> bytes:
    """Return a line as an event; a comment where it is empty."""
    if not line:
        return b":\n\n"
    return b"event: %b\ndata: %b\n\n" % (line[9 : line.index(b'"', 9)], line)


async def _send_lines(relay: Relay, socket: web.WebSocketResponse, request: web.Request) -> None:
    """Send the daemon's lines until they or the client end."""
    with _giving_up(request):
        async with contextlib.aclosing(relay.lines()) as lines:
            async for line in lines:
                async with asyncio.timeout(SEND_SECONDS):
                    await socket.send_str(line.decode())
        await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"too slow")


@contextlib.contextmanager
def _giving_up(request: web.Request) -> Iterator[None]:
    """End the connection of a client that takes nothing or is gone."""
    try:
        yield
    except TimeoutError:
        log.info("A client took nothing for %.0f s; its connection is closed.", SEND_SECONDS)
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError:
        pass


async def _with_heartbeat(relay: Relay) -> AsyncGenerator[bytes]:
    """Yield the lines of a relay, and an empty one after each `HEARTBEAT` seconds without."""
    async with contextlib.aclosing(relay.lines()) as lines:
        waiting = asyncio.ensure_future(anext(lines, None))
        try:
            while True:
                await asyncio.wait([waiting], timeout=HEARTBEAT)
                if not waiting.done():
                    yield b""
                    continue
                line = waiting.result()
                if line is None:
                    return
                yield line
                waiting = asyncio.ensure_future(anext(lines, None))
        finally:
            waiting.cancel()
            await asyncio.wait([waiting])
