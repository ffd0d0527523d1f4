"""What all commands have in common: usable standard streams, an exit status, one sentence for what went wrong."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from io import TextIOWrapper

from ser_model.errors import SerError

INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 and the number of SIGINT, as shells have it."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What a write to a file or terminal fails with, through no fault of the program."""


def run(name: str, work: Callable[[], int], interrupted: str | None = None) -> int:
    """Do a command's work, command line included, and end it as every command ends.

    Args:
        name: of the command, put before a sentence on stderr.
        work: returns the exit status.
        interrupted: said after Ctrl-C; None: nothing.

    Returns:
        what `work` returns; 0 when whoever read the output has had enough (`| head`); 2 with a sentence for
        a `SerError`, or when the output can't be written; 130 after Ctrl-C
    """
    prepare_streams()
    try:
        try:
            return work()
        finally:
            # Now, where its failure can still be told: the interpreter would only complain at its end.
            sys.stdout.flush()
    except SerError as error:
        return say(name, str(error))
    except KeyboardInterrupt:
        if interrupted is not None:
            say(name, interrupted)
        return INTERRUPTED
    except ImportError as error:
        # So it comes out where Ctrl-C hits an extension module that is just being set up.
        if isinstance(error.__cause__, KeyboardInterrupt):
            return INTERRUPTED
        raise
    except BrokenPipeError:
        _drop_output()
        return 0
    except OSError as error:
        # A file that isn't the output has a name in its error, and its own sentence elsewhere.
        if error.errno not in _FULL or error.filename is not None:
            raise
        _drop_output()
        return say(name, f"The output cannot be written: {error.strerror}.")


def say(name: str, sentence: str) -> int:
    """Put a sentence on stderr and return 2; a stderr that takes nothing changes neither."""
    with contextlib.suppress(OSError):
        print(f"{name}: {sentence}", file=sys.stderr, flush=True)
    return 2


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Put off a Ctrl-C of the calling thread, where it would leave a C library half set up."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def prepare_streams() -> None:
    """Make stdin, stdout and stderr something that can be relied on.

    Where one is closed it becomes /dev/null: else the next file or socket that is opened gets its number, and is
    taken for it. What stdout's encoding lacks becomes `?`.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest number that is free, which is this one: open(2).
            os.open(os.devnull, os.O_RDWR)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - lives as long as the process
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is sys.__stderr__:
        # By a number of its own: sounddevice points number 2 to /dev/null while PortAudio starts, which can hang.
        sys.stderr = open(os.dup(2), "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
    # Under a test it may be something else. On stderr Python itself writes escapes.
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _drop_output() -> None:
    """Send to /dev/null what is still buffered for stdout, else Python complains while it ends."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
