"""A command that is run for every event, one at a time, with the event on its standard input."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from ser_daemon.wire.events import Emotion, Event, Hello
from ser_model.errors import SerError

QUEUE_SIZE = 256
"""Events that may wait for the command, as in the daemon's own queue of a client: over a minute of speech."""

LIMIT_SECONDS = 10.0
"""How long a command may take for one event."""

KILL_SECONDS = 1.0
"""Time between SIGTERM and SIGKILL."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    line: bytes
    name: str
    """The event in words: `emotion 43`."""
    partial: bool


def parse_command(text: str) -> list[str]:
    """Split a command line into words, as a shell does.

    Raises:
        SerError: it cannot be split, or there is no such program.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise SerError(f"--exec {text!r:.80} cannot be split into words: {error}.") from None
    if not words:
        raise SerError("--exec needs a command, such as --exec 'jq -r .data.label'.")
    if shutil.which(words[0]) is None:
        raise SerError(f"--exec {words[0]!r:.80}: there is no such program, or it may not be executed.")
    return words


class EventCommand:
    """Runs a command for each event. Partial results are dropped where it is too slow, other events never.

    When its queue is full of events that may not be dropped, `offer` waits. The daemon then keeps the next ones.
    """

    def __init__(
        self,
        words: list[str],
        report: Callable[[str], None],
        *,
        limit: float = LIMIT_SECONDS,
        size: int = QUEUE_SIZE,
    ) -> None:
        """Prepare; `start` begins to run commands.

        Args:
            words: the command and its arguments.
            report: called with a sentence about the first failure of each kind.
            limit: seconds that the command may take for one event.
            size: events that may wait.
        """
        self._words = words
        self._report = report
        self._limit = limit
        self._size = size
        self._queue: deque[_Waiting] = deque()
        self._changed = asyncio.Condition()
        self._counts: Counter[str] = Counter()
        self._reported: set[str] = set()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to run the command for the events that are offered."""
        self._task = asyncio.create_task(self._run())

    async def offer(self, line: bytes, event: Event | None) -> None:
        """Queue an event; drop a partial result, or wait, where the queue is full."""
        if event is None or isinstance(event, Hello):
            return
        partial = isinstance(event, Emotion) and not event.final
        async with self._changed:
            while len(self._queue) >= self._size:
                if (oldest := self._oldest_partial()) is not None:
                    self._queue.remove(oldest)
                    self._counts["dropped"] += 1
                elif partial:
                    self._counts["dropped"] += 1
                    return
                else:
                    await self._changed.wait()
            self._queue.append(_Waiting(line, f"{event.type} {event.seq}", partial))
            self._changed.notify_all()

    async def finish(self) -> None:
        """Wait until the command was run for all events."""
        async with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._task is not None:
            await self._task

    async def stop(self) -> None:
        """End the command that runs, and run it for no further event. Does nothing after `finish`."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    @property
    def failures(self) -> int:
        """Events for which the command failed, hung, could not be started, or was not run any more."""
        return len(self._queue) + sum(self._counts[kind] for kind in ("failed", "ended", "not started", "interrupted"))

    def summary(self) -> str | None:
        """Say in a sentence how often the command did what it should; None where it always did."""
        counts = self._counts
        if not self.failures and not counts["dropped"]:
            return None
        parts = [f"{counts['done']} done"]
        parts += [f"{counts[kind]} {kind}" for kind in ("failed", "not started", "interrupted") if counts[kind]]
        if counts["ended"]:
            parts.append(f"{counts['ended']} ended after {self._limit:g} s")
        if self._queue:
            parts.append(f"{len(self._queue)} not run")
        if counts["dropped"]:
            parts.append(f"{counts['dropped']} partial results dropped")
        return f"--exec {self._words[0]}: {', '.join(parts)}."

    def _oldest_partial(self) -> _Waiting | None:
        return next((waiting for waiting in self._queue if waiting.partial), None)

    async def _run(self) -> None:
        while (waiting := await self._next()) is not None:
            kind = "interrupted"
            try:
                kind = await self._run_once(waiting)
            finally:
                self._counts[kind] += 1

    async def _next(self) -> _Waiting | None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._queue or self._closing)
            if not self._queue:
                return None
            self._changed.notify_all()
            return self._queue.popleft()

    async def _run_once(self, waiting: _Waiting) -> str:
        """Run the command for one event; return what became of it."""
        try:
            process = await asyncio.create_subprocess_exec(
                # A session of its own: what the command has started can be ended with it.
                *self._words,
                stdin=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            return self._note("not started", f"cannot be started: {getattr(error, 'strerror', None) or error}")
        try:
            async with asyncio.timeout(self._limit):
                await process.communicate(waiting.line + b"\n")
        except TimeoutError:
            await _end(process)
            return self._note("ended", f"took more than {self._limit:g} s for {waiting.name} and was ended")
        except BaseException:
            await _end(process)
            raise
        if process.returncode == 0:
            return "done"
        code = process.returncode or 0
        how = f"exit status {code}" if code > 0 else f"signal {-code}"
        return self._note("failed", f"failed with {how} for {waiting.name}")

    def _note(self, kind: str, what: str) -> str:
        """Report the first failure of a kind; return the kind."""
        if kind not in self._reported:
            self._reported.add(kind)
            self._report(f"--exec {self._words[0]} {what}; more of this is only counted.")
        return kind


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a command and what it has started."""
    for number, seconds in ((signal.SIGTERM, KILL_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await process.wait()
                break
    # The command itself may be gone, and what it has started may ignore SIGTERM.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
