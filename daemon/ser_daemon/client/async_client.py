"""The asynchronous client; programs import it from `ser_daemon.client`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import Any

from ser_daemon.client.addresses import connection_error, socket_paths
from ser_daemon.client.wire import (
    CHUNK,
    ClientSettings,
    EventStream,
    NotRunning,
    PendingRequest,
    Reconnect,
    RequestFailed,
    decode,
    encode_filter,
)
from ser_daemon.wire.events import Event
from ser_model.errors import SerError


class AsyncClient(ClientSettings):
    """An asynchronous client; each request and each stream has a connection of its own.

    Args:
        path: the daemon's socket; `None`: `$SER_SOCKET`, else the user's socket, else the system's.
        timeout: seconds to wait for the answer to a request.
    """

    def __init__(self, path: str | Path | None = None, *, timeout: float = 10.0) -> None:
        super().__init__(path, timeout=timeout)
        self._streams: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End all streams."""
        while self._streams:
            self._streams.pop().close()

    async def request(self, name: str, **data: object) -> dict[str, Any]:
        """Send a request and return the data of the answer; errors as `Client.request`."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._request(name, data)
        except TimeoutError:
            raise self._timed_out(name) from None

    async def label(self, utterance: str, label: str) -> dict[str, Any]:
        """Correct the label of an utterance; arguments, answer and errors as `Client.label`."""
        return await self.request("label", utterance_id=utterance, label=label)

    async def subscribe(
        self,
        *,
        events: Sequence[str] | None = None,
        partial: bool = True,
        min_confidence: float = 0.0,
        reconnect: bool = False,
        on_lost: Callable[[SerError], None] | None = None,
    ) -> AsyncGenerator[Event]:
        """Yield events as they come; arguments as `Client.subscribe`."""
        filter_ = encode_filter(events, partial, min_confidence)
        async with contextlib.aclosing(self.lines(filter_, reconnect=reconnect, on_lost=on_lost)) as lines:
            async for line in lines:
                event = decode(line)
                if event is not None:
                    yield event

    async def lines(
        self,
        filter_: dict[str, object] | None = None,
        *,
        reconnect: bool = False,
        on_lost: Callable[[SerError], None] | None = None,
    ) -> AsyncGenerator[bytes]:
        """Yield the stream as raw lines without their newline; `filter_` is the data of `subscribe`."""
        retry = Reconnect(reconnect, on_lost)
        while True:
            try:
                async with contextlib.aclosing(self._stream(filter_)) as lines:
                    async for line in lines:
                        retry.received()
                        yield line
                return
            except (NotRunning, RequestFailed) as error:
                delay = retry.delay_after(error)
            await asyncio.sleep(delay)

    async def _request(self, name: str, data: dict[str, object]) -> dict[str, Any]:
        request = PendingRequest(name, data)
        reader, writer = await self._connect(name)
        try:
            writer.write(request.line)
            while (answer := request.feed(await _receive(reader))) is None:
                pass
            return answer
        finally:
            writer.close()

    async def _stream(self, filter_: dict[str, object] | None) -> AsyncGenerator[bytes]:
        stream = EventStream(filter_)
        reader, writer = await self._connect()
        self._streams.add(writer)
        try:
            writer.write(stream.line)
            while (data := await _receive(reader)) or writer in self._streams:
                for line in stream.feed(data):
                    yield line
        finally:
            self._streams.discard(writer)
            writer.close()

    async def _connect(self, request: str | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        failures: list[tuple[Path, OSError]] = []
        for path in socket_paths(self._path, request):
            try:
                return await asyncio.open_unix_connection(path)
            except OSError as error:
                failures.append((path, error))
        raise connection_error(failures)


async def _receive(reader: asyncio.StreamReader) -> bytes:
    """Wait for bytes; empty where the connection was closed."""
    try:
        return await reader.read(CHUNK)
    except ConnectionError:
        return b""
