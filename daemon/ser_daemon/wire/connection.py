"""One client's connection: never waited for, bounded in every direction."""

from __future__ import annotations

import asyncio
import logging
import select
from collections import deque
from collections.abc import Callable

from ser_daemon.wire.framing import BadLine, LineParser, Message
from ser_daemon.wire.protocol import CONTROL_VERBS, QUERIES
from ser_daemon.wire.publisher import Publisher, Subscription
from ser_daemon.wire.requests import (
    RequestError,
    RequestHandler,
    bad_line,
    check_id,
    failure,
    reply,
    request_filter,
)
from ser_daemon.wire.sockets import peer_pid

log = logging.getLogger(__name__)

MAX_ANSWERS = 16
"""Answers that may wait for a client; while they do, nothing more is read from it."""

LINES_AT_ONCE = 32
"""Lines served in one go, so that a flood from one client leaves the loop to the others."""

LINES_PER_SECOND = 250
"""Lines served in the long run: a client that asks without a pause must not take the interpreter from recognition."""

FAREWELL_SECONDS = 2.0
"""How long a client that is being cut off may take to read why."""

HANGUP_SECONDS = 5.0
"""How often a client that closed its sending side is checked for having gone altogether."""


class Connection(asyncio.Protocol):
    """A stream client from the start; a request client if its first line is a request."""

    def __init__(
        self,
        desk: RequestHandler,
        publisher: Publisher,
        *,
        control_hint: str | None,
        admit: Callable[[Connection], bool],
        forget: Callable[[Connection], None],
    ) -> None:
        """Prepare for a client.

        Args:
            desk: answers requests.
            publisher: gives the stream.
            control_hint: None where control verbs are served; else where to send them.
            admit: registers the connection; False where there are too many.
            forget: undoes `admit`.
        """
        self._desk = desk
        self._publisher = publisher
        self._control_hint = control_hint
        self._admit = admit
        self._forget = forget
        self._parser = LineParser()
        self._answers: deque[bytes] = deque()
        self._subscription: Subscription | None = None
        self._control_task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport
        self._first_line = True
        self._eof = False
        self._blocked = False
        self._leaving = False
        self._pump_scheduled = False
        self._served = 0.0
        """Lines served lately; what `LINES_PER_SECOND` allows is taken off as time passes."""
        self._counted = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the client and start the stream."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        # A transport that holds at most the line being written: what waits, waits in our own bounded queue.
        transport.set_write_buffer_limits(high=0)
        if not self._admit(self):
            self.leave(failure("too-many-clients", "Too many clients are connected; close some, or raise max_clients."))
            return
        self._subscribe()
        self._send(self._desk.hello())

    def data_received(self, data: bytes) -> None:
        """Serve what the client sends."""
        self._parser.feed(data)
        self._pump()

    def eof_received(self) -> bool:
        """Keep serving a client that closed only its sending side."""
        self._eof = True
        self._pump()
        return True

    def pause_writing(self) -> None:
        """The kernel takes no more: the client is slower than we are."""
        self._blocked = True

    def resume_writing(self) -> None:
        """The client has read; go on."""
        self._blocked = False
        self._flush()
        self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tidy up. A control verb that is under way is left to finish."""
        if self._timer is not None:
            self._timer.cancel()
        self._leaving = True
        if self._subscription is not None:
            self._subscription.close()
        self._answers.clear()
        self._forget(self)

    def leave(self, last_words: bytes | None = None) -> None:
        """Send what is queued (or only `last_words`) and close; who doesn't read that is cut off."""
        if self._leaving:
            return
        self._leaving = True
        if last_words is not None:
            self._answers.clear()
            self._answers.append(last_words)
        if self._subscription is not None:
            if last_words is not None:
                self._subscription.clear()
            self._publisher.remove(self._subscription)
        self._transport.pause_reading()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(FAREWELL_SECONDS, self._transport.abort)
        self._flush()

    def abort(self) -> None:
        """Cut the client off at once."""
        self._transport.abort()

    def _subscribe(self) -> Subscription:
        if self._subscription is None:
            self._subscription = self._publisher.subscribe(self._flush, self._overflow)
        return self._subscription

    def _overflow(self) -> None:
        pid = peer_pid(self._transport.get_extra_info("socket"))
        log.warning("Subscriber (process %s) reads too slowly and was cut off.", pid or "unknown")
        self.leave(failure("slow-consumer", "You read too slowly: the queue of events is full. Connect again."))

    def _pump(self) -> None:
        """Serve complete lines as long as the client takes the answers."""
        while self._allowed():
            if self._leaving or self._control_task is not None or len(self._answers) >= MAX_ANSWERS:
                self._transport.pause_reading()
                return
            item = self._parser.take()
            if item is None and self._eof:
                item = self._parser.finish()
            if item is None:
                self._drained()
                return
            self._served += 1
            self._serve(item)
        self._transport.pause_reading()
        if not self._pump_scheduled:
            self._pump_scheduled = True
            asyncio.get_running_loop().call_later(LINES_AT_ONCE / LINES_PER_SECOND / 2, self._pump_again)

    def _allowed(self) -> bool:
        """Whether another line may be served now."""
        now = asyncio.get_running_loop().time()
        self._served = max(0.0, self._served - (now - self._counted) * LINES_PER_SECOND)
        self._counted = now
        return self._served < LINES_AT_ONCE

    def _pump_again(self) -> None:
        self._pump_scheduled = False
        self._pump()

    def _drained(self) -> None:
        """Everything received is served."""
        if not self._eof:
            self._transport.resume_reading()
        elif self._subscription is None:
            self.leave()
        elif self._timer is None:
            self._watch_hangup()

    def _watch_hangup(self) -> None:
        """Notice that a half-closed client is gone: the loop doesn't watch a socket at its end."""
        poll = select.poll()
        # No event asked for: POLLHUP is always reported, and comes only once both directions are closed.
        poll.register(self._transport.get_extra_info("socket"), 0)
        if poll.poll(0):
            self._transport.abort()
            return
        self._timer = asyncio.get_running_loop().call_later(HANGUP_SECONDS, self._watch_hangup)

    def _serve(self, item: Message | BadLine) -> None:
        first, self._first_line = self._first_line, False
        if isinstance(item, BadLine):
            self._send(bad_line(item))
            return
        asks = item.type in QUERIES + CONTROL_VERBS and item.type != "subscribe"
        if first and asks and self._subscription is not None:
            self._subscription.close()
            self._subscription = None
        try:
            self._serve_request(item)
        except RequestError as error:
            self._send(failure(error.code, str(error), None if error.code == "bad-id" else item))

    def _serve_request(self, message: Message) -> None:
        check_id(message)
        if message.type == "subscribe":
            wanted = request_filter(message)
            subscription = self._subscribe()
            # What was queued before was chosen by another filter.
            subscription.clear()
            subscription.filter = wanted
            data = {
                "events": wanted.events,
                "partial": wanted.partial,
                "min_confidence": wanted.min_confidence,
                "seq": self._publisher.seq,
            }
            self._send(reply(message, "subscribed", data))
        elif message.type in CONTROL_VERBS:
            if self._control_hint is not None:
                raise RequestError("not-permitted", f"{message.type} is {self._control_hint}")
            self._control_task = asyncio.get_running_loop().create_task(self._control(message))
        else:
            self._send(self._desk.answer(message))

    async def _control(self, message: Message) -> None:
        answer = await self._desk.control(message)
        self._control_task = None
        if not self._leaving:
            self._send(answer)
            self._pump()

    def _send(self, line: bytes) -> None:
        self._answers.append(line)
        self._flush()

    def _flush(self) -> None:
        """Write while the kernel takes it; answers overtake events."""
        while not self._blocked and not self._transport.is_closing():
            if self._answers:
                line: bytes | None = self._answers.popleft()
            else:
                line = self._subscription.pop() if self._subscription is not None else None
            if line is None:
                if self._leaving:
                    self._transport.close()
                return
            self._transport.write(line)
