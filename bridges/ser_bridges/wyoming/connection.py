"""One client: what it asks for, and what it gets. Everything that it sends is bounded and checked."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

from ser_bridges.wyoming.client_audio import ClientAudio
from ser_bridges.wyoming.encoding import encode, encode_error
from ser_bridges.wyoming.recognition import RecognitionSettings
from ser_bridges.wyoming.subscribers import Subscribers
from ser_bridges.wyoming.workers import Workers
from ser_daemon.sources.wyoming_audio import WyomingDecoder, read_format
from ser_daemon.wire.framing import Message
from ser_daemon.wire.payload_stream import EventHead, FramingError, PayloadStream
from ser_daemon.wire.request_fields import parse_filter
from ser_model.errors import SerError

log = logging.getLogger(__name__)

RECEIVE_BYTES = 64 * 1024

UNREAD_BYTES = 256 * 1024
"""Events that may wait for a client that does not read: several minutes of speech. Then it is disconnected."""

MOST_TEXT = 1024
"""Longest text of a `ping`, in characters."""

EVENT_SECONDS = 30.0
"""Time that an event may take from its first byte to its last. Half a header must not hold a place forever."""

CLOSE_SECONDS = 5.0
"""Time in which a client must read its last events."""

QUIET_SECONDS = 10.0
"""Time without audio after which an open utterance ends, since its rest will not come."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all connections use."""

    settings: RecognitionSettings
    workers: Workers
    info: bytes
    """The encoded answer to `describe`."""
    subscribers: Subscribers | None
    """`None`: the daemon's events are not shared."""


class Connection:
    """A client of the service. Everything here runs on the event loop."""

    def __init__(self, shared: Shared, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._shared = shared
        self._reader, self._writer = reader, writer
        self._loop = asyncio.get_running_loop()
        self._events = PayloadStream()
        self._audio = ClientAudio(shared.settings, shared.workers, self.send)
        self._decoder: WyomingDecoder | None = None
        """Of the stream that is open; `None` between streams, and after audio that cannot be used."""
        self._refused = False
        """Whether audio is ignored until the next `audio-start`."""
        self._takes_payload = False
        self._detecting = False
        self._reading = False
        self._last_bytes = self._last_audio = self._loop.time()
        self._paused = True

    async def serve(self) -> None:
        """Serve the client until it goes or breaks the rules."""
        try:
            while data := await self._receive():
                self._events.feed(data)
                while (item := self._events.take()) is not None:
                    self._take(item)
                    # Nothing is taken while much waits: the client's own sending then waits, as TCP provides.
                    await self._audio.wait_for_room()
        except FramingError as error:
            self.send(encode_error("bad-framing", str(error)))
        except OSError as error:
            log.debug("A client is gone: %s.", error.strerror)
        finally:
            self.close()

    def send(self, event: bytes) -> None:
        """Send encoded events, unless too many wait already."""
        if self._writer.is_closing():
            return
        self._writer.write(event)
        if self._writer.transport.get_write_buffer_size() > UNREAD_BYTES:
            log.warning("A client is disconnected: it does not read its events.")
            self._writer.transport.abort()

    def check(self) -> None:
        """End what has come to a standstill; called every few seconds."""
        now = self._loop.time()
        if self._reading and not self._events.is_between_events and now - self._last_bytes > EVENT_SECONDS:
            log.warning("A client is disconnected: half of an event came, and nothing more.")
            self._writer.transport.abort()
        elif not self._paused and now - self._last_audio > QUIET_SECONDS:
            self._paused = True
            self._audio.pause()

    def close(self) -> None:
        """End the connection; what was written still goes out, unless the client does not read it."""
        self._audio.close()
        if self._shared.subscribers is not None:
            self._shared.subscribers.remove(self)
        self._writer.close()
        if self._writer.transport.get_write_buffer_size():
            self._loop.call_later(CLOSE_SECONDS, self._writer.transport.abort)

    async def _receive(self) -> bytes:
        self._reading = True
        data = await self._reader.read(RECEIVE_BYTES)
        self._reading = False
        self._last_bytes = self._loop.time()
        return data

    def _take(self, item: EventHead | bytes) -> None:
        if isinstance(item, bytes):
            if self._takes_payload:
                self._audio.push(item)
                self._last_audio, self._paused = self._last_bytes, False
            return
        self._takes_payload = False
        match item.type:
            case "audio-start" | "audio-chunk":
                self._take_audio(item)
            case "audio-stop":
                self._stop_audio()
            case "describe":
                self.send(self._shared.info)
            case "detect":
                self._detecting = True
            case "ping":
                self._audio.answer(_pong(item.data))
            case "subscribe":
                self._subscribe(item.data)
            # Others, such as those of a satellite to its server, are ignored as the protocol asks.

    def _take_audio(self, event: EventHead) -> None:
        starts = event.type == "audio-start"
        if self._refused and not starts:
            return
        try:
            format_ = read_format(event.type, event.data, event.payload_length)
            if starts or self._decoder is None:
                # A chunk without a start is a start as well: some programs send chunks only.
                decoder = WyomingDecoder(format_)
                if self._decoder is not None:
                    self._audio.stop()
                self._audio.start(decoder)
                self._decoder, self._refused = decoder, False
            elif format_ != self._decoder.format:
                raise SerError(
                    f"audio-chunk: {format_.rate} Hz, {format_.channels} channels, {format_.encoding} after "
                    f"{self._decoder.format.rate} Hz, {self._decoder.format.channels} channels, "
                    f"{self._decoder.format.encoding}; send audio-start before another format."
                )
        except SerError as error:
            if self._decoder is not None:
                self._audio.stop()
            self._decoder, self._refused, self._paused = None, True, True
            self._audio.answer(encode_error("bad-audio", str(error)))
            return
        self._takes_payload = not starts

    def _stop_audio(self) -> None:
        if self._decoder is not None:
            self._audio.stop()
        self._decoder, self._refused, self._paused = None, False, True
        if self._detecting:
            self._detecting = False
            self._audio.answer(encode("not-detected"))

    def _subscribe(self, data: dict[str, Any]) -> None:
        if self._shared.subscribers is None:
            self.send(encode_error("not-permitted", "This service does not share a daemon's events; see its --events."))
            return
        try:
            self._shared.subscribers.add(self, parse_filter(Message("subscribe", data)))
        except SerError as error:
            self.send(encode_error("bad-request", str(error)))


def _pong(data: dict[str, Any]) -> bytes:
    text = data.get("text")
    return encode("pong", {"text": text[:MOST_TEXT] if isinstance(text, str) else None})
