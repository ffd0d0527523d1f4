"""Keeps the audio in memory out of core dumps, and out of the reach of other processes of the user."""

from __future__ import annotations

import contextlib
import ctypes
import resource

_PR_SET_DUMPABLE = 4
"""From linux/prctl.h."""


def forbid_core_dumps() -> None:
    """Let the kernel write no core dump of this process (core(5)), and let no process of the same user trace it.

    A core dump would hold the last seconds of audio. Without the dumpable attribute (prctl(2)) the kernel gives none
    to a program such as systemd-coredump either. A limit of 0 alone does not prevent that.
    """
    with contextlib.suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
