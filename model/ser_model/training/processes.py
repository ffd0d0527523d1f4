"""Worker processes that leave Ctrl-C to the one who shows the bar."""

from __future__ import annotations

import os
from collections.abc import Callable
from multiprocessing import get_context, resource_tracker
from multiprocessing.pool import Pool

from ser_model.console import uninterrupted


def new_pool(
    workers: int | None = None, initializer: Callable[..., None] | None = None, arguments: tuple[object, ...] = ()
) -> Pool:
    """Start a pool whose workers never see SIGINT; used as a context manager, it ends with its owner.

    Args:
        workers: processes; None: one per core.
        initializer: called in each of them first.
        arguments: of `initializer`.
    """
    # Started first: it would lift the mask again, which the workers are to inherit.
    resource_tracker.ensure_running()
    with uninterrupted():
        return get_context("spawn").Pool(workers or os.cpu_count(), initializer, arguments)
