"""Divides the time of the event loop between clients, so that those who send without a pause delay no others."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from ser_daemon.wire.rate_limit import LeakyBucket

LINES_AT_ONCE = 32
"""Lines that a client may have served in one go."""

LINES_PER_SECOND = 250
"""Lines served in the long run: a client that asks without a pause must not take the interpreter from recognition."""

TURN_SECONDS = 0.00025
"""Time after which another client has its turn: two or three requests."""

PROMPT_SECONDS = 0.01
"""Time that a client may use without waiting for a turn: at least 32 requests."""

PROMPT_SHARE = 0.02
"""Share of the loop's time that a client may use in the long run without waiting for a turn: about 100 requests a
second."""

FIRST_SECONDS = 0.001
"""The same as `PROMPT_SECONDS` for a new connection: connecting again and again must not give it each time."""

ALL_PROMPT_SECONDS = 0.02
"""The same for all clients together."""

ALL_PROMPT_SHARE = 0.3
"""The same as `PROMPT_SHARE` for all clients together."""

QUEUE_SHARE = 0.1
"""Share of the loop's time for all clients that wait for turns, and therefore of a processor."""

QUEUE_SECONDS = 0.001
"""Time that turns may take at once before that share applies."""

READ_SECONDS = 0.00004
"""What a read from a socket costs, beside the lines that it brings."""


class TurnQueue:
    """Gives a turn to one client after the other, in a bounded share of the time; shared by all connections."""

    def __init__(self) -> None:
        self._used = LeakyBucket(QUEUE_SECONDS, QUEUE_SHARE)
        """Seconds of the loop's time."""
        self.prompt = LeakyBucket(ALL_PROMPT_SECONDS, ALL_PROMPT_SHARE)
        """The same, for clients that do not wait."""
        self._waiting: deque[Allowance] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def join(self, allowance: Allowance, now: float, *, first: bool) -> None:
        """Wait for a turn; `first`: the next one."""
        if first:
            self._waiting.appendleft(allowance)
        else:
            self._waiting.append(allowance)
        self._schedule(now)

    def charge(self, seconds: float) -> None:
        """Note that a turn took some time."""
        self._used.add(seconds)

    def _schedule(self, now: float) -> None:
        if self._timer is None and self._waiting:
            self._timer = asyncio.get_running_loop().call_later(self._used.wait(now), self._give_turn)

    def _give_turn(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        if not self._used.is_full(loop.time()):
            self._waiting.popleft().use_turn(loop.time())
        self._schedule(loop.time())


class Allowance:
    """What one client may have served now.

    Everything that costs time counts as a line: requests, blank lines, data blocks, and each read from the socket.
    """

    def __init__(self, turns: TurnQueue, go_on: Callable[[], None]) -> None:
        """Start.

        Args:
            turns: where a client waits that sends more than may be served promptly.
            go_on: called when there is room again, after `has_room` returned False.
        """
        self.used_up = False
        """Whether the client sends more than may be served promptly."""
        self._turns = turns
        self._go_on = go_on
        self._lines = LeakyBucket(LINES_AT_ONCE, LINES_PER_SECOND)
        self._prompt = LeakyBucket(
            PROMPT_SECONDS - TURN_SECONDS, PROMPT_SHARE, PROMPT_SECONDS - FIRST_SECONDS, PROMPT_SECONDS
        )
        """Seconds of the loop's time. They leak only while nothing of the client waits: one that sends without a pause
        is never served promptly again."""
        self._left = 0.0
        """Seconds left of the turn."""
        self._queued = False
        """Whether it waits for a turn, or has one that it waited for."""
        self._waiting = False
        self._closed = False
        self._read_counted = False
        self._timer: asyncio.TimerHandle | None = None

    def has_room(self, now: float) -> bool:
        """Whether one more line may be served; if not, `go_on` is called later."""
        if self._waiting or self._timer is not None:
            return False
        if self._lines.is_full(now):
            # It sends without a pause: from here on it waits for turns.
            self._prompt.add(PROMPT_SECONDS)
            self.used_up = True
            self._left = 0.0
            delay = LINES_AT_ONCE / LINES_PER_SECOND / 2
            self._timer = asyncio.get_running_loop().call_later(delay, self._leaked)
            return False
        if self._left > 0:
            return True
        self.used_up = self._prompt.is_full(now)
        self._queued = self._waiting = self.used_up or self._turns.prompt.is_full(now)
        if self._waiting:
            # One that is not to blame that all together use too much goes before those that are.
            self._turns.join(self, now, first=not self.used_up)
            return False
        self._left = TURN_SECONDS
        return True

    def count_read(self) -> None:
        """Count a read from the socket; the first line of what was read is included."""
        self._lines.add()
        self._read_counted = True
        self._charge(READ_SECONDS)

    def count_line(self, seconds: float) -> None:
        """Count a line that took so long to serve or skip."""
        if not self._read_counted:
            self._lines.add()
        self._read_counted = False
        self._charge(seconds)

    def use_turn(self, now: float) -> None:
        """Serve what fits into a turn."""
        self._waiting = False
        self._prompt.hold(now)
        if not self._closed:
            self._left = TURN_SECONDS
            self._go_on()

    def close(self) -> None:
        """Call `go_on` no more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _charge(self, seconds: float) -> None:
        self._left -= seconds
        self._prompt.add(seconds)
        if self._queued:
            self._turns.charge(seconds)
        else:
            self._turns.prompt.add(seconds)

    def _leaked(self) -> None:
        self._timer = None
        self._prompt.hold(asyncio.get_running_loop().time())
        self._go_on()
