"""Keep C libraries from writing to the terminal: ALSA, JACK, PortAudio, libsndfile with libmpg123, ONNX Runtime."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
from collections.abc import Iterator

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


@contextlib.contextmanager
def without_lines(harmless: re.Pattern[bytes]) -> Iterator[None]:
    """Let lines that begin with a pattern be lost while a library loads that writes to file descriptor 2 itself.

    All other lines, also those of other threads, are written when it is loaded, in their order.
    """
    with contextlib.ExitStack() as undo:
        try:
            held = os.memfd_create("stderr")
            undo.callback(os.close, held)
            before = os.dup(2)
            undo.callback(os.close, before)
            os.dup2(held, 2)
        except OSError:
            # A closed descriptor, or none left: nothing to protect, or better noise than a failure.
            yield
            return
        try:
            yield
        finally:
            os.dup2(before, 2)
            _write_others(held, harmless)


def _write_others(held: int, harmless: re.Pattern[bytes]) -> None:
    os.lseek(held, 0, os.SEEK_SET)
    with open(held, "rb", closefd=False) as lines:
        others = b"".join(line for line in lines if not harmless.match(line))
    if others:
        with contextlib.suppress(OSError), open(2, "wb", closefd=False) as stderr:
            stderr.write(others)
