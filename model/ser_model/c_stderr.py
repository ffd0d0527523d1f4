"""Keep C libraries from writing to the terminal: ALSA, JACK and PortAudio, and libmpg123, which libsndfile uses."""

from __future__ import annotations

import ctypes
import os

_silenced = False


def silence_c_stderr() -> None:
    """Let what C libraries write to stderr be lost, from now on. Further calls do nothing.

    They write to the C stream `stderr`, while Python's log writes to file descriptor 2. Only the C stream is redirected
    to /dev/null: redirecting the descriptor would lose log lines of other threads. The variable `stderr` is known to
    be writable in glibc only.
    """
    global _silenced
    if _silenced:
        return
    _silenced = True
    try:
        os.confstr("CS_GNU_LIBC_VERSION")
        libc = ctypes.CDLL(None)
        libc.fopen.restype = ctypes.c_void_p
        stream = libc.fopen(os.devnull.encode(), b"we")
        if stream:
            ctypes.c_void_p.in_dll(libc, "stderr").value = stream
    except (ValueError, OSError, AttributeError):
        return


def keep_c_stderr() -> None:
    """Make `silence_c_stderr` do nothing."""
    global _silenced
    _silenced = True
