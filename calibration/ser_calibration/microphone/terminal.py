"""What a person at the terminal is told while a microphone is listened to, and what is made sure of before."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ser_model.errors import SerError


def tell(line: str, replaceable: bool) -> None:
    """Show progress: lines that replace each other in a terminal, and only the lasting ones elsewhere."""
    terminal = sys.stderr.isatty()
    if not replaceable:
        print(("\r\x1b[K" if terminal else "") + line, file=sys.stderr, flush=True)
    elif terminal:
        # A line that is too long goes on in the next one, and only that would be replaced.
        width = shutil.get_terminal_size().columns - 1
        print("\r\x1b[K" + line[:width], end="", file=sys.stderr, flush=True)


@contextlib.contextmanager
def progress() -> Iterator[None]:
    """At its end, whatever ends it, removes the last line that was to be replaced."""
    try:
        yield
    finally:
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def probe(path: Path) -> None:
    """Make sure, before a person takes a minute over it, that a file can be written; nothing is left behind.

    Raises:
        SerError: it can't.
    """
    # Folders that aren't there yet are made where the first one above them is.
    folder = next(above for above in path.absolute().parents if os.path.lexists(above))
    try:
        if path.is_dir():
            raise IsADirectoryError(0, "Is a directory")
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0" * 4096)
            file.flush()
    except OSError as error:
        raise SerError(f"{path}: cannot write this profile: {error.strerror}; choose another with --output.") from None
