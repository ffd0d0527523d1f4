"""The version of the program, with the commit that it was made from where that is known."""

from __future__ import annotations

import contextlib
import functools
import re
from pathlib import Path

COMMIT_FILE = "commit.txt"
"""File beside this module that a build from a git checkout leaves."""


@functools.cache
def full_version() -> str:
    """Return the version, such as `0.2.0`, or `0.2.0+g1a2b3c4` when the commit is known (PEP 440, local version)."""
    from ser_model import __version__

    known = commit()
    return __version__ if known is None else f"{__version__}+g{known}"


def commit() -> str | None:
    """Return the first seven digits of the commit that this package was built from, or that is checked out here.

    The files of git are read, as the program must not depend on git, and must start no process to greet a client.
    """
    folder = Path(__file__).resolve().parent
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return _digits((folder / COMMIT_FILE).read_text())
    root = folder.parents[1]
    if not (root / "pyproject.toml").is_file():
        return None
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return _digits(_head(root))
    return None


def _digits(text: str) -> str | None:
    return text[:7] if re.match(r"[0-9a-f]{7}", text) else None


def _head(root: Path) -> str:
    """Return the commit of HEAD, as gitrepository-layout(5) stores it.

    Raises:
        OSError: this is no checkout.
    """
    folder = root / ".git"
    if folder.is_file():
        # A further working tree.
        folder = root / folder.read_text().partition(":")[2].strip()
    head = (folder / "HEAD").read_text().strip()
    if not head.startswith("ref: "):
        return head
    name = head.removeprefix("ref: ")
    shared = folder / (folder / "commondir").read_text().strip() if (folder / "commondir").is_file() else folder
    if (shared / name).is_file():
        return (shared / name).read_text()
    for line in (shared / "packed-refs").read_text().splitlines():
        digits, _, packed = line.partition(" ")
        if packed == name:
            return digits
    return ""
