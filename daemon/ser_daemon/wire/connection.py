"""One client's connection: the daemon never waits for it, and everything that it can use up has a bound."""

from __future__ import annotations

import asyncio
import logging
import select
from collections.abc import Callable

from ser_daemon.wire.framing import BadLine, LineParser, Message
from ser_daemon.wire.line_writer import LineWriter
from ser_daemon.wire.protocol import CONTROL_VERBS, QUERIES
from ser_daemon.wire.publisher import Publisher, Subscription
from ser_daemon.wire.rate_limit import LeakyBucket
from ser_daemon.wire.requests import (
    RequestError,
    RequestHandler,
    check_id,
    encode_error,
    encode_reply,
    parse_filter,
)
from ser_daemon.wire.sockets import peer_pid

log = logging.getLogger(__name__)

MAX_ANSWERS = 16
"""Answers that may wait for a client; while they do, nothing more is read from it."""

LINES_AT_ONCE = 32
"""Lines served in one go, so that a flood from one client leaves the loop to the others."""

LINES_PER_SECOND = 250
"""Lines served in the long run: a client that asks without a pause must not take the interpreter from recognition."""

CLOSE_SECONDS = 2.0
"""How long a client that is being disconnected may take to read what is queued."""

HANGUP_SECONDS = 5.0
"""Time between two checks whether a client that closed its sending side is gone altogether."""


class Connection(asyncio.Protocol):
    """A client that gets the stream of events, until its first line turns out to be a request."""

    def __init__(
        self,
        handler: RequestHandler,
        publisher: Publisher,
        *,
        control_hint: str | None,
        register: Callable[[Connection], bool],
        unregister: Callable[[Connection], None],
    ) -> None:
        """Prepare for a client.

        Args:
            handler: answers requests.
            publisher: gives the stream.
            control_hint: None where control verbs are served; else where to send them.
            register: called when the client is connected; returns False where there are too many clients.
            unregister: called when the connection is gone.
        """
        self._handler = handler
        self._publisher = publisher
        self._control_hint = control_hint
        self._register = register
        self._unregister = unregister
        self._parser = LineParser()
        self._bucket = LeakyBucket(LINES_AT_ONCE, LINES_PER_SECOND)
        self._transport: asyncio.Transport
        self._writer: LineWriter
        self._control_task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._first_line = True
        self._eof = False
        self._closing = False
        self._waiting_for_bucket = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the client and start the stream."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._writer = LineWriter(transport)
        if not self._register(self):
            text = "Too many clients are connected; close some, or raise max_clients."
            self.close(encode_error("too-many-clients", text))
            return
        self._subscribe()
        self._writer.send(self._handler.hello())

    def data_received(self, data: bytes) -> None:
        """Serve what the client sends."""
        self._parser.feed(data)
        self._process_lines()

    def eof_received(self) -> bool:
        """Keep serving a client that closed only its sending side."""
        self._eof = True
        self._process_lines()
        return True

    def pause_writing(self) -> None:
        """Stop writing: the client reads more slowly than the daemon writes."""
        self._writer.pause()

    def resume_writing(self) -> None:
        """Go on: the client has read."""
        self._writer.resume()
        self._process_lines()

    def connection_lost(self, exc: Exception | None) -> None:
        """Release everything. A control verb that is being carried out is not cancelled."""
        if self._timer is not None:
            self._timer.cancel()
        self._closing = True
        self._unsubscribe()
        self._writer.discard()
        self._unregister(self)

    def close(self, last_line: bytes | None = None) -> None:
        """Send what is queued (or only `last_line`) and disconnect; a client that doesn't read it is aborted."""
        if self._closing:
            return
        self._closing = True
        if self._writer.subscription is not None:
            self._publisher.remove(self._writer.subscription)
        self._transport.pause_reading()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(CLOSE_SECONDS, self._transport.abort)
        self._writer.finish(last_line)

    def abort(self) -> None:
        """Disconnect at once."""
        self._transport.abort()

    def _subscribe(self) -> Subscription:
        if self._writer.subscription is None:
            self._writer.subscription = self._publisher.subscribe(self._writer.flush, self._overflow)
        return self._writer.subscription

    def _unsubscribe(self) -> None:
        if self._writer.subscription is not None:
            self._writer.subscription.close()
            self._writer.subscription = None

    def _overflow(self) -> None:
        pid = peer_pid(self._transport.get_extra_info("socket"))
        log.warning("Subscriber (process %s) reads too slowly and was cut off.", pid or "unknown")
        self.close(encode_error("slow-consumer", "You read too slowly: the queue of events is full. Connect again."))

    def _process_lines(self) -> None:
        """Serve complete lines as long as the client takes the answers."""
        loop = asyncio.get_running_loop()
        while not self._bucket.is_full(loop.time()):
            if self._closing or self._control_task is not None or self._writer.answers >= MAX_ANSWERS:
                self._transport.pause_reading()
                return
            item = self._parser.take()
            if item is None and self._eof:
                item = self._parser.finish()
            if item is None:
                self._all_processed()
                return
            self._bucket.add()
            self._serve(item)
        self._transport.pause_reading()
        if not self._waiting_for_bucket:
            self._waiting_for_bucket = True
            loop.call_later(LINES_AT_ONCE / LINES_PER_SECOND / 2, self._bucket_has_room)

    def _bucket_has_room(self) -> None:
        self._waiting_for_bucket = False
        self._process_lines()

    def _all_processed(self) -> None:
        """Read on, or decide what a client that sends no more is still connected for."""
        if not self._eof:
            self._transport.resume_reading()
        elif self._writer.subscription is None:
            self.close()
        elif self._timer is None:
            self._check_hangup()

    def _check_hangup(self) -> None:
        """Disconnect a half-closed client that is gone: the loop no longer polls a socket that is at its end."""
        poll = select.poll()
        # No event is requested. POLLHUP is always reported, and comes only once both directions are closed.
        poll.register(self._transport.get_extra_info("socket"), 0)
        if poll.poll(0):
            self._transport.abort()
            return
        self._timer = asyncio.get_running_loop().call_later(HANGUP_SECONDS, self._check_hangup)

    def _serve(self, item: Message | BadLine) -> None:
        first, self._first_line = self._first_line, False
        if isinstance(item, BadLine):
            self._writer.send(encode_error(item.code, item.text))
            return
        if first and item.type in QUERIES + CONTROL_VERBS and item.type != "subscribe":
            self._unsubscribe()
        try:
            self._serve_request(item)
        except RequestError as error:
            self._writer.send(encode_error(error.code, str(error), None if error.code == "bad-id" else item))

    def _serve_request(self, message: Message) -> None:
        check_id(message)
        if message.type == "subscribe":
            self._writer.send(self._set_filter(message))
        elif message.type in CONTROL_VERBS:
            if self._control_hint is not None:
                raise RequestError("not-permitted", f"{message.type} is {self._control_hint}")
            self._control_task = asyncio.get_running_loop().create_task(self._control(message))
        else:
            self._writer.send(self._handler.answer(message))

    def _set_filter(self, message: Message) -> bytes:
        chosen = parse_filter(message)
        subscription = self._subscribe()
        # The events queued so far were chosen by another filter.
        subscription.clear()
        subscription.filter = chosen
        data = {
            "events": chosen.events,
            "partial": chosen.partial,
            "min_confidence": chosen.min_confidence,
            "seq": self._publisher.seq,
        }
        return encode_reply(message, "subscribed", data)

    async def _control(self, message: Message) -> None:
        answer = await self._handler.control(message)
        self._control_task = None
        if not self._closing:
            self._writer.send(answer)
            self._process_lines()
