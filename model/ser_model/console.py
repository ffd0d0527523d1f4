"""Shared by all commands: usable standard streams, exit statuses, and text that a terminal only shows."""

from __future__ import annotations

import argparse
import contextlib
import errno
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from io import TextIOWrapper
from typing import NoReturn

from ser_model.errors import SerError
from ser_model.printable import printable, printable_lines

_log = logging.getLogger(__name__)

INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 plus the number of SIGINT, as in shells."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Errors of a write that are no fault of the program."""


def run(name: str, work: Callable[[], int], interrupted: str | None = None) -> int:
    """Run a command and turn its errors into an exit status.

    Args:
        name: of the command, for messages on stderr.
        work: parses the command line, does the work, and returns the exit status.
        interrupted: message after Ctrl-C. `None` prints nothing.

    Returns:
        the result of `work`; 0 if the reader of the output closed it (`| head`); 2 after a message for a `SerError`,
        for a file that cannot be read or written, or for output that cannot be written; 130 after Ctrl-C
    """
    prepare_streams()
    try:
        try:
            return work()
        finally:
            # A failure at the end of the interpreter could not be reported.
            sys.stdout.flush()
    except SerError as error:
        _log.debug("Where the error comes from:", exc_info=True)
        return report_error(name, str(error))
    except KeyboardInterrupt:
        if interrupted is not None:
            report_error(name, interrupted)
        return INTERRUPTED
    except ImportError as error:
        # Ctrl-C during the initialisation of an extension module raises this.
        if isinstance(error.__cause__, KeyboardInterrupt):
            return INTERRUPTED
        raise
    except BrokenPipeError:
        drop_output()
        return 0
    except OSError as error:
        if error.filename is not None:
            return report_error(name, f"{error.filename}: {error.strerror}.")
        # Without a file name it concerns the output, or nothing that a user can mend.
        if error.errno not in _FULL:
            raise
        drop_output()
        return report_error(name, f"The output cannot be written: {error.strerror}.")


def report_error(name: str, sentence: str) -> int:
    """Print a sentence to stderr and return 2, also if stderr cannot be written."""
    with contextlib.suppress(OSError):
        print(f"{name}: {printable(sentence)}", file=sys.stderr, flush=True)
    return 2


def say(text: str) -> None:
    """Print lines to stdout. What a terminal would execute is escaped, and long text is shortened."""
    print(printable_lines(text), flush=True)


class ArgumentParser(argparse.ArgumentParser):
    """A parser whose errors quote the command line so that a terminal only shows it."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message, and exit with status 2."""
        super().error(printable(message))


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Delay Ctrl-C in the calling thread while a C library initialises."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def prepare_streams() -> None:
    """Make stdin, stdout and stderr usable.

    A closed one becomes /dev/null; otherwise the next file or socket gets its number and is used in its place.
    Characters that the encoding of stdout lacks become `?`.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # open(2) returns the lowest free number, which is this one.
            os.open(os.devnull, os.O_RDWR)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - open until the process ends
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is sys.__stderr__:
        # Descriptor 2 itself is /dev/null while sounddevice starts PortAudio, which can hang.
        sys.stderr = open(os.dup(2), "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
    # Tests replace stdout. Python itself escapes what stderr lacks.
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def drop_output() -> None:
    """Send the rest of the buffered output to /dev/null; otherwise Python reports an error at exit."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
