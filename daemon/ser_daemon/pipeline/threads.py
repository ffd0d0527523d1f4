"""Runs a call that may hang in a thread that can be abandoned."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from ser_model.errors import SerError

T = TypeVar("T")


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
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            # Raised again in the waiting thread.
            errors.append(error)

    thread = threading.Thread(target=run, name="bounded", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise late
    return results[0]
