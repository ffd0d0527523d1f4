"""One client's connection: the daemon never waits for it, and everything that it can use up has a bound."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time

from ser_daemon.wire.framing import BadLine, LineParser, Message, Skipped
from ser_daemon.wire.line_writer import LineWriter
from ser_daemon.wire.peer_log import log_failure, misbehaviour
from ser_daemon.wire.peers import Peer, is_gone, peer_of
from ser_daemon.wire.places import Places
from ser_daemon.wire.protocol import CONTROL_VERBS, QUERIES
from ser_daemon.wire.publisher import Subscription
from ser_daemon.wire.request_fields import RequestError, check_id, parse_filter
from ser_daemon.wire.requests import encode_error, encode_reply
from ser_daemon.wire.shared import Shared
from ser_daemon.wire.turns import Allowance

log = logging.getLogger(__name__)

FAILED = encode_error("failed", "The request failed; the daemon's log says why.")

CLOSE_SECONDS = 2.0
"""How long a client that is being disconnected may take to read what is queued."""

HANGUP_SECONDS = 5.0
"""Time between two checks whether a client is gone from whose socket nothing is read."""


class Connection(asyncio.BufferedProtocol):
    """A client that gets the stream of events, until its first line turns out to be a request."""

    def __init__(self, shared: Shared, places: Places, *, control_hint: str | None) -> None:
        """Prepare for a client.

        Args:
            shared: what answers it.
            places: those of the socket that it connected to.
            control_hint: None where control verbs are served; else where to send them.
        """
        self.peer = Peer()
        self.last_active = 0.0
        """When the client connected, or last sent something, on the clock of the loop."""
        self._handler = shared.handler
        self._shared = shared
        self._places = places
        self._control_hint = control_hint
        self._parser = LineParser()
        self._allowance = Allowance(shared.turns, self._use_turn)
        self._transport: asyncio.Transport
        self._writer: LineWriter
        self._control_task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._first_line = True
        self._eof = False
        self._closing = False

    @property
    def is_busy(self) -> bool:
        """Whether a control verb is being carried out."""
        return self._control_task is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the client and start the stream."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._writer = LineWriter(transport, self._shared.waiting)
        self.peer = peer_of(transport.get_extra_info("socket"))
        self.last_active = asyncio.get_running_loop().time()
        if not self._places.add(self):
            self._turn_away("Too many clients are connected; close some, or raise max_clients.")
            return
        self._subscribe()
        self._writer.send(self._handler.hello())

    def get_buffer(self, sizehint: int) -> bytearray:
        """Return where to receive."""
        return self._shared.received

    def buffer_updated(self, nbytes: int) -> None:
        """Serve what the client sends."""
        self.last_active = asyncio.get_running_loop().time()
        self._allowance.count_read(self.last_active)
        self._parser.feed(memoryview(self._shared.received)[:nbytes])
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
        self._allowance.close()
        self._places.remove(self)

    def close(self, last_line: bytes | None = None) -> None:
        """Send what is queued (or only `last_line`) and disconnect; a client that doesn't read it is aborted."""
        if self._closing:
            return
        self._closing = True
        if self._writer.subscription is not None:
            self._shared.publisher.remove(self._writer.subscription)
        self._allowance.close()
        self._transport.pause_reading()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(CLOSE_SECONDS, self._transport.abort)
        self._writer.finish(last_line)

    def abort(self) -> None:
        """Disconnect at once."""
        self._transport.abort()

    def displace(self) -> None:
        """Disconnect, since another client needs the place."""
        self._turn_away("All places were taken, and you were idle the longest. Connect again, or raise max_clients.")

    def _turn_away(self, text: str) -> None:
        self.close(encode_error("too-many-clients", text))
        # It holds no place any more, so nothing would bound the number of those that don't read the reason.
        if not self._writer.is_empty:
            self._transport.abort()

    def _subscribe(self) -> Subscription:
        if self._writer.subscription is None:
            self._writer.subscription = self._shared.publisher.subscribe(self._writer.flush, self._overflow)
        return self._writer.subscription

    def _unsubscribe(self) -> None:
        if self._writer.subscription is not None:
            self._writer.subscription.close()
            self._writer.subscription = None

    def _overflow(self) -> None:
        misbehaviour.log(log, logging.WARNING, f"A subscriber, {self.peer}, reads too slowly and was cut off.")
        self.close(encode_error("slow-consumer", "You read too slowly: the queue of events is full. Connect again."))

    def _process_lines(self) -> None:
        """Serve complete lines as long as the client may have more, and takes the answers."""
        loop = asyncio.get_running_loop()
        # Not wall time: what other processes use of the processor is no fault of the client.
        used = time.thread_time()
        while not self._closing and self._control_task is None and self._writer.has_room:
            if not self._parser.is_empty and not self._allowance.has_room(loop.time()):
                break
            item = self._parser.step()
            if item is None and self._eof:
                item = self._parser.finish()
            if item is None:
                self._all_processed()
                return
            if not isinstance(item, Skipped):
                self._serve(item)
            before, used = used, time.thread_time()
            self._allowance.count_line(used - before)
        self._transport.pause_reading()

    def _use_turn(self) -> None:
        """Go on, unless a client that sent without a pause is gone: its last line may be minutes away."""
        if self._allowance.used_up and is_gone(self._transport.get_extra_info("socket")):
            self._transport.abort()
        else:
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
        """Disconnect a client that is gone: the loop does not poll a socket that is at its end or not read from."""
        if is_gone(self._transport.get_extra_info("socket")):
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
        except Exception as error:
            log_failure(log, item.type, error)
            self._writer.send(FAILED)

    def _serve_request(self, message: Message) -> None:
        check_id(message)
        if message.type == "subscribe":
            self._writer.send(self._set_filter(message))
        elif message.type in CONTROL_VERBS:
            if self._control_hint is not None:
                raise RequestError("not-permitted", f"{message.type} is {self._control_hint}")
            loop = asyncio.get_running_loop()
            self._control_task = loop.create_task(self._control(message))
            if self._timer is None:
                self._timer = loop.call_later(HANGUP_SECONDS, self._check_hangup)
        else:
            self._writer.send(self._handler.answer(message))

    def _set_filter(self, message: Message) -> bytes:
        chosen = parse_filter(message)
        subscription = self._subscribe()
        # The events queued so far were chosen by another filter.
        subscription.clear()
        subscription.filter = chosen
        return encode_reply(message, "subscribed", {**dataclasses.asdict(chosen), "seq": self._shared.publisher.seq})

    async def _control(self, message: Message) -> None:
        answer = FAILED
        try:
            answer = await self._handler.control(message)
        except Exception as error:
            log_failure(log, message.type, error)
        finally:
            # On every way out: until then nothing is read from the client, not even that it is gone.
            self._control_task = None
            if not self._closing:
                self._writer.send(answer)
                self._process_lines()
