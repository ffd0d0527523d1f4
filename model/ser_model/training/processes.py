"""Worker processes that leave Ctrl-C to the main process."""

from __future__ import annotations

import os
from collections.abc import Callable
from multiprocessing import get_context, resource_tracker
from multiprocessing.pool import Pool

from ser_model.console import uninterrupted


def new_pool(
    workers: int | None = None, initializer: Callable[..., None] | None = None, arguments: tuple[object, ...] = ()
) -> Pool:
    """Start a pool whose workers block SIGINT. The pool is a context manager.

    Args:
        workers: number of processes; `None`: one per core.
        initializer: function that each process calls first.
        arguments: arguments of `initializer`.
    """
    # Started first, as its start unblocks SIGINT, and the workers must inherit the mask.
    resource_tracker.ensure_running()
    with uninterrupted():
        return get_context("spawn").Pool(workers or os.cpu_count(), initializer, arguments)
