"""Checks the shipped models against the sums beside them: a damaged or exchanged file is not loaded."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from ser_model.errors import SerError
from ser_model.network.model_files import checksum_file

_SUM: Final = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")
"""A line of sha256sum's output."""

_REPAIR: Final = "install ser-daemon again"


def verify_checksum(path: Path) -> None:
    """Compare a shipped model with its line in NAME.sha256 beside it.

    This finds damage, and a file that was exchanged alone. It is no signature: who can write the folder can write
    both files.

    Raises:
        SerError: a file is missing, the sum has no line for it, or it differs.
    """
    import hashlib

    sums = checksum_file(path)
    try:
        lines = sums.read_text().splitlines()
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise SerError(f"{path}: can't be compared with {sums.name} ({reason}); {_REPAIR}") from error
    wanted = {match[2]: match[1].lower() for match in map(_SUM.fullmatch, lines) if match}.get(path.name)
    if wanted is None:
        raise SerError(f"{sums}: has no line for {path.name}; expected lines as sha256sum writes them; {_REPAIR}")
    if wanted != found:
        raise SerError(f"{path}: its sum is not the one in {sums.name}: it was changed or damaged; {_REPAIR}")
