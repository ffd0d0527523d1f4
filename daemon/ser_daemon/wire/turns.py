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

PROMPT_SHARE = 0.01
"""Share of the loop's time that a client may use in the long run without waiting for a turn: about 50 requests a
second."""

FIRST_SECONDS = 0.0005
"""The same as `PROMPT_SECONDS` for a new connection: connecting again and again must not give it each time."""

QUIET_SECONDS = 0.5
"""Time without a byte after which a client that sent more than that may be served promptly again."""

ALL_PROMPT_SECONDS = 0.02
"""The same for all clients together."""

ALL_PROMPT_SHARE = 0.3
"""The same as `PROMPT_SHARE` for all clients together."""

QUEUE_SHARE = 0.05
"""Share of the loop's time for all clients that wait for turns, and therefore of a processor."""

QUEUE_SECONDS = 0.001
"""Time that turns may take at once before that share applies."""

READ_SECONDS = 0.00004
"""What a read from a socket costs, beside the lines that it brings."""


class TurnQueue:
    """Gives a turn to one client after the other, in a bounded share of the loop's time."""

    def __init__(self, seconds: float, share: float, *, newest_first: bool = False) -> None:
        """Start.

        Args:
            seconds: time that turns may take at once before the share applies.
            share: of the loop's time.
            newest_first: whether who comes last is served first. Of clients that all send little, those that ask all
                the time then wait, and one that asks now and then does not.
        """
        self._used = LeakyBucket(seconds, share)
        """Seconds of the loop's time."""
        self._newest_first = newest_first
        self._waiting: deque[Allowance] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def is_full(self, now: float) -> bool:
        """Whether a client has to wait."""
        return self._used.is_full(now)

    def join(self, allowance: Allowance, now: float) -> None:
        """Wait for a turn."""
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
            allowance = self._waiting.pop() if self._newest_first else self._waiting.popleft()
            allowance.use_turn(loop.time())
        self._schedule(loop.time())


class Turns:
    """The queues of clients that send little and much; shared by all connections."""

    def __init__(self) -> None:
        self.prompt = TurnQueue(ALL_PROMPT_SECONDS, ALL_PROMPT_SHARE, newest_first=True)
        self.patient = TurnQueue(QUEUE_SECONDS, QUEUE_SHARE)


class Allowance:
    """What one client may have served now.

    Everything that costs time counts as a line: requests, blank lines, data blocks, and each read from the socket.
    """

    def __init__(self, turns: Turns, go_on: Callable[[], None]) -> None:
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
        """Seconds of the loop's time. They leak only while nothing of the client waits."""
        self._left = 0.0
        """Seconds left of the turn."""
        self._queue = turns.prompt
        """Whose time the present turn takes."""
        self._waiting = False
        self._closed = False
        self._last_read = 0.0
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
        self._queue = self._turns.patient if self.used_up else self._turns.prompt
        if self.used_up or self._queue.is_full(now):
            self._waiting = True
            self._queue.join(self, now)
            return False
        self._left = TURN_SECONDS
        return True

    def count_read(self, now: float) -> None:
        """Count a read from the socket; the first line of what was read is included."""
        if self.used_up and now - self._last_read < QUIET_SECONDS:
            self._prompt.add(PROMPT_SECONDS)
        self._last_read = now
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
        self._queue.charge(seconds)

    def _leaked(self) -> None:
        self._timer = None
        self._prompt.hold(asyncio.get_running_loop().time())
        self._go_on()
