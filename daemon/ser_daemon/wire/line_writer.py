"""What a connection still has to send: answers to requests, and a subscription's events."""

from __future__ import annotations

import asyncio
from collections import deque

from ser_daemon.wire.publisher import Subscription


class LineWriter:
    """Writes lines while the kernel takes them; answers overtake events."""

    def __init__(self, transport: asyncio.Transport) -> None:
        # The transport buffers at most the line being written. All others wait in queues that have a bound.
        transport.set_write_buffer_limits(high=0)
        self.subscription: Subscription | None = None
        """Where events come from; None while the client wants none."""
        self._transport = transport
        self._answers: deque[bytes] = deque()
        self._paused = False
        self._finishing = False

    @property
    def answers(self) -> int:
        """Number of answers that wait."""
        return len(self._answers)

    def send(self, answer: bytes) -> None:
        """Queue an answer and write what can be written."""
        self._answers.append(answer)
        self.flush()

    def finish(self, last_line: bytes | None = None) -> None:
        """Close the transport once everything queued is written, or only `last_line` where it is given."""
        self._finishing = True
        if last_line is not None:
            self.discard()
            self._answers.append(last_line)
        self.flush()

    def discard(self) -> None:
        """Drop everything queued."""
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
                    self._transport.close()
                return
            self._transport.write(line)

    def _next(self) -> bytes | None:
        if self._answers:
            return self._answers.popleft()
        return self.subscription.pop() if self.subscription is not None else None
