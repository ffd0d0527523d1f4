"""Checks the shipped models against the sums beside them: a damaged or exchanged file is not loaded."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from ser_model.errors import SerError
from ser_model.network.model_files import MOST_BYTES, checksum_file
from ser_model.small_file import UnreadableFileError, read_small_file

WEIGHTS: Final = Path(__file__).parents[1] / "weights"
"""Folder of the shipped models."""

_SUM: Final = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")
"""A line of sha256sum's output."""

_MOST_SUMS: Final = 64 << 10
"""Largest file of sums in bytes, for hundreds of lines."""

_REPAIR: Final = "install ser-daemon again"


def read_shipped_file(path: Path) -> bytes:
    """Read a shipped model, and compare it with its line in NAME.sha256 beside it.

    This finds damage, and a file that was exchanged alone. It is no signature: who can write the folder can write
    both files.

    Raises:
        SerError: a file is missing, the sum has no line for the model, or it differs.
    """
    from hashlib import sha256

    sums = checksum_file(path)
    try:
        known = read_checksums(sums)
        content = read_small_file(path, MOST_BYTES)
    except (UnreadableFileError, UnicodeDecodeError) as error:
        reason = error if isinstance(error, UnreadableFileError) else "not text"
        raise SerError(f"{path}: can't be compared with {sums.name} ({reason}); {_REPAIR}") from error
    wanted = known.get(path.name)
    if wanted is None:
        raise SerError(f"{sums}: has no line for {path.name}; expected lines as sha256sum writes them; {_REPAIR}")
    if wanted != sha256(content).hexdigest():
        raise SerError(f"{path}: its sum is not the one in {sums.name}: it was changed or damaged; {_REPAIR}")
    return content


def read_checksums(path: Path) -> dict[str, str]:
    """Read the sums of a NAME.sha256, by file name.

    Raises:
        UnreadableFileError: it cannot be read, is not a regular file, or is too large.
        UnicodeDecodeError: it is not text.
    """
    lines = read_small_file(path, _MOST_SUMS).decode().splitlines()
    return {match[2]: match[1].lower() for match in map(_SUM.fullmatch, lines) if match}
