"""Work that a sound library may never come back from, in a thread that can be left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from ser_model.errors import SerError

T = TypeVar("T")


def run_with_timeout(work: Callable[[], T], seconds: float, late: SerError) -> T:
    """Do the work and return its result.

    In a thread of its own, since a library that hangs in its C code keeps even Ctrl-C waiting.

    Args:
        work: what to do.
        seconds: how long it may take.
        late: raised where the work takes longer.

    Raises:
        SerError: the work took too long, or raised it itself.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            # Raised again by whoever waits.
            errors.append(error)

    thread = threading.Thread(target=run, name="bounded", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise late
    return results[0]
