"""Runs a call that may hang in a thread that can be abandoned."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from ser_model.errors import SerError

T = TypeVar("T")
U = TypeVar("U")


def run_with_timeout(work: Callable[[], T], seconds: float, late: SerError) -> T:
    """Call `work` in a thread of its own, and return its result.

    A sound library that hangs in its C code would otherwise block even Ctrl-C.

    Args:
        work: the call.
        seconds: how long it may take.
        late: raised where it takes longer.

    Raises:
        SerError: `late`, or an error of `work`.
    """
    future = _start(work)
    try:
        return future.result(seconds)
    except TimeoutError:
        if future.done():
            raise
        raise late from None


async def await_with_timeout(work: Callable[[], T], seconds: float, late: SerError) -> T:
    """Do as `run_with_timeout` does, without blocking the event loop.

    The loop's own executor is no choice: at the end the loop waits for its threads, however long they take.
    """
    future = asyncio.wrap_future(_start(work))
    done, _ = await asyncio.wait([future], timeout=seconds)
    if not done:
        # What a late thread still returns or raises is nobody's any more.
        future.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        raise late
    return future.result()


def _start(work: Callable[[], T]) -> Future[T]:
    future: Future[T] = Future()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:
            _complete(future.set_exception, error)
        else:
            _complete(future.set_result, result)

    threading.Thread(target=run, name="bounded", daemon=True).start()
    return future


def _complete(complete: Callable[[U], None], value: U) -> None:
    # The event loop that waits for the future may be closed by now.
    with contextlib.suppress(RuntimeError):
        complete(value)
