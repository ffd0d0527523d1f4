"""The asynchronous client; programs import it from `ser_daemon.client`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import Any

from ser_daemon.client.wire import (
    FIRST_RETRY,
    LAST_RETRY,
    ClientSettings,
    LineBuffer,
    NotRunning,
    RequestFailed,
    SubscribedGate,
    answer,
    decode,
    request_line,
    socket_paths,
    subscription,
    unreachable,
)
from ser_daemon.wire.events import Event
from ser_model.errors import SerError

_CHUNK = 64 * 1024


class AsyncClient(ClientSettings):
    """An asynchronous client; each request and each stream has a connection of its own."""

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
        """Ask for something and return the answer's data; errors as `Client.request`."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._request(name, data)
        except TimeoutError:
            raise self.unanswered(name) from None

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
        wanted = subscription(events, partial, min_confidence)
        retry = FIRST_RETRY
        while True:
            try:
                async with contextlib.aclosing(self._stream(wanted)) as lines:
                    async for line in lines:
                        retry = FIRST_RETRY
                        event = decode(line)
                        if event is not None:
                            yield event
                return
            except (NotRunning, RequestFailed) as error:
                if not reconnect or (isinstance(error, RequestFailed) and not error.passing):
                    raise
                if on_lost is not None:
                    on_lost(error)
            await asyncio.sleep(retry)
            retry = min(2 * retry, LAST_RETRY)

    async def _request(self, name: str, data: dict[str, object]) -> dict[str, Any]:
        reader, writer = await self._connect(name)
        try:
            writer.write(request_line(name, data))
            async for line in _async_lines(reader):
                found = answer(line)
                if found is not None:
                    return found
        finally:
            writer.close()
        raise NotRunning(f"The daemon closed the connection without an answer to {name!r}.")

    async def _stream(self, wanted: dict[str, object] | None) -> AsyncGenerator[bytes]:
        reader, writer = await self._connect()
        self._streams.add(writer)
        gate = SubscribedGate(wanted is not None)
        try:
            if wanted is not None:
                writer.write(request_line("subscribe", wanted))
            async for line in _async_lines(reader):
                if gate.passes(line):
                    yield line
            if writer not in self._streams:
                return
        finally:
            self._streams.discard(writer)
            writer.close()
        raise NotRunning("The daemon closed the connection.")

    async def _connect(self, request: str | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        problems: list[tuple[Path, OSError]] = []
        for path in socket_paths(self._path, request):
            try:
                return await asyncio.open_unix_connection(path)
            except OSError as error:
                problems.append((path, error))
        raise unreachable(problems)


async def _async_lines(reader: asyncio.StreamReader) -> AsyncGenerator[bytes]:
    buffer = LineBuffer()
    while True:
        try:
            data = await reader.read(_CHUNK)
        except ConnectionError:
            return
        if not data:
            return
        for line in buffer.feed(data):
            yield line
