"""Plays a recording of the event stream at its own pace, or as fast as it is taken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

from ser_daemon.watch.recording import Entry, Recording
from ser_daemon.wire.events import Event, Hello
from ser_daemon.wire.publisher import Filter
from ser_model.errors import SerError


async def replay(path: Path, wanted: Filter, *, fast: bool = False) -> AsyncGenerator[Entry]:
    """Yield the lines of a recording when they are due.

    Args:
        path: of the recording.
        wanted: which events are yielded; `hello` always is.
        fast: don't wait.

    Raises:
        SerError: after the last line: the file is empty, cut off, or holds something else. What is whole is played.
        OSError: the file cannot be read.
    """
    recording = Recording(path)
    loop = asyncio.get_running_loop()
    started = loop.time()
    for entry in recording.entries():
        if not _is_wanted(entry.event, wanted):
            continue
        # At least one turn of the loop: commands and clients take their lines meanwhile.
        await asyncio.sleep(0 if fast else max(0.0, started + entry.seconds - loop.time()))
        yield entry
    problem = recording.problem()
    if problem is not None:
        raise SerError(problem)


def _is_wanted(event: Event | None, wanted: Filter) -> bool:
    if event is None:
        # Of a newer daemon: whether a filter means it is not known.
        return wanted == Filter()
    return isinstance(event, Hello) or wanted.matches(event)
