"""Gives memory back to the kernel."""

from __future__ import annotations

import contextlib
import ctypes


def trim_memory() -> None:
    """Give back what only the start needed (malloc_trim(3)); a C library without this function keeps it."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
