"""What a connection still has to send: answers to requests, and a subscription's events."""

from __future__ import annotations

import asyncio
from collections import deque

from ser_daemon.wire.publisher import Subscription

MAX_ANSWERS = 16
"""Answers that may wait for a client; while they do, nothing more is read from it."""

MAX_WAITING_BYTES = 1024 * 1024
"""Bytes of answers that may wait for all clients together. While they do, clients for which an answer waits are served
nothing more. Others are served: their answers go to the kernel."""


class WaitingBytes:
    """Bytes of the answers that wait in the daemon for its clients; shared by all connections."""

    def __init__(self) -> None:
        self.total = 0

    @property
    def is_full(self) -> bool:
        """Whether no more should be added."""
        return self.total >= MAX_WAITING_BYTES


class LineWriter:
    """Writes lines while the kernel takes them; answers overtake events."""

    def __init__(self, transport: asyncio.Transport, waiting: WaitingBytes) -> None:
        # The transport buffers at most the line being written. All others wait in queues that have a bound.
        transport.set_write_buffer_limits(high=0)
        self.subscription: Subscription | None = None
        """Where events come from; None while the client wants none."""
        self._transport = transport
        self._waiting = waiting
        self._answers: deque[bytes] = deque()
        self._paused = False
        self._finishing = False

    @property
    def has_room(self) -> bool:
        """Whether the client may have one more answer."""
        if not self._answers:
            return not (self._paused and self._waiting.is_full)
        return len(self._answers) < MAX_ANSWERS and not self._waiting.is_full

    @property
    def is_empty(self) -> bool:
        """Whether the kernel has taken all answers."""
        return not self._answers and not self._transport.get_write_buffer_size()

    def send(self, answer: bytes) -> None:
        """Queue an answer and write what can be written."""
        self._answers.append(answer)
        self._waiting.total += len(answer)
        self.flush()

    def finish(self, last_line: bytes | None = None) -> None:
        """Close the transport once everything queued is written, or only `last_line` where it is given."""
        self._finishing = True
        if last_line is None:
            self.flush()
        else:
            self.discard()
            self.send(last_line)

    def discard(self) -> None:
        """Drop everything queued."""
        self._waiting.total -= sum(map(len, self._answers))
        self._answers.clear()
        if self.subscription is not None:
            self.subscription.clear()

    def pause(self) -> None:
        """Stop writing: the kernel's buffer is full."""
        self._paused = True

    def resume(self) -> None:
        """Write again."""
        self._paused = False
        self.flush()

    def flush(self) -> None:
        """Write until nothing is queued or the kernel's buffer is full."""
        while not self._paused and not self._transport.is_closing():
            line = self._next()
            if line is None:
                if self._finishing:
                    # Not at once: asyncio may be in the middle of a write of this transport, and would end it twice.
                    asyncio.get_running_loop().call_soon(self._transport.close)
                return
            self._transport.write(line)

    def _next(self) -> bytes | None:
        if self._answers:
            answer = self._answers.popleft()
            self._waiting.total -= len(answer)
            return answer
        return self.subscription.pop() if self.subscription is not None else None
