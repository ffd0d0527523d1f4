"""A Wyoming microphone service in a thread, made with the official package, that plays samples in real time."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from types import TracebackType

import numpy as np
from wyoming.audio import AudioChunk, AudioStart
from wyoming.event import Event
from wyoming.server import AsyncEventHandler, AsyncServer

from ser_model.types import Samples


class MicrophoneService:
    """Plays the samples to each client from their beginning, and then silence; stops with the context.

    Args:
        uri: where to listen.
        samples: 16 kHz mono.
        chunk: samples of an event.
    """

    def __init__(self, uri: str, samples: Samples, chunk: int = 1024) -> None:
        self._uri, self._samples, self._chunk = uri, samples, chunk
        self.connections = 0
        self.open = 0
        """Clients that are connected."""
        self._loop = asyncio.new_event_loop()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> MicrophoneService:
        self._thread.start()
        assert self._listening.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = AsyncServer.from_uri(self._uri)
        await server.start(lambda reader, writer: _Player(self, reader, writer))
        self._listening.set()
        await self._stop.wait()
        await server.stop()
        await asyncio.sleep(0.05)

    async def play(self, handler: AsyncEventHandler) -> None:
        """Send the samples and then silence, in real time."""
        self.connections += 1
        self.open += 1
        try:
            await handler.write_event(AudioStart(16_000, 2, 1).event())
            started, sent = time.monotonic(), 0
            while True:
                piece = self._samples[sent : sent + self._chunk]
                if len(piece) < self._chunk:
                    piece = np.zeros(self._chunk, np.int16)
                await handler.write_event(AudioChunk(16_000, 2, 1, audio=piece.tobytes()).event())
                sent += self._chunk
                await asyncio.sleep(max(0.0, started + sent / 16_000 - time.monotonic()))
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.open -= 1


class _Player(AsyncEventHandler):
    """A connection. What the client sends is ignored, as in `wyoming-mic-external`."""

    def __init__(self, service: MicrophoneService, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer)
        self._task = asyncio.create_task(service.play(self))

    async def handle_event(self, event: Event) -> bool:
        return True

    async def disconnect(self) -> None:
        self._task.cancel()


@contextlib.contextmanager
def sending(data: bytes, *, close: bool = True) -> Iterator[str]:
    """Listen on a free port; send each client some bytes, and close where asked. Yields the URI."""
    listener = socket.create_server(("127.0.0.1", 0))
    clients: list[socket.socket] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                clients.append(client)
                with contextlib.suppress(OSError):
                    client.sendall(data)
                if close:
                    client.close()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()
        for client in clients:
            client.close()
