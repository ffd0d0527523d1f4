"""Keeps the mute state of the microphone over a restart."""

from __future__ import annotations

import logging
from pathlib import Path

from ser_model.atomic_file import replace_file

log = logging.getLogger(__name__)

FILE_NAME = "muted"


class MuteMemory:
    """A file `muted` in the state directory that holds `1` or `0`.

    A directory that cannot be written does not stop the daemon, and does not keep it from muting. The daemon logs once
    that the mute state will not survive a restart.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME
        self._warned = False

    def load(self, *, default: bool) -> bool:
        """Return the stored state; `default` (the setting `start_muted`) where there is none that can be read."""
        try:
            text = self._path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return default
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it holds no text"
            self._warn(f"could not be read: {reason}; a mute before this start is forgotten")
            return default
        if text not in ("0", "1"):
            self._warn("is neither 0 nor 1")
            return default
        return default or text == "1"

    def store(self, muted: bool) -> None:
        """Store the state in one step: after a crash the file holds the old or the new value. Syncs the disk."""
        try:
            replace_file(self._path, "1\n" if muted else "0\n", 0o600)
        except OSError as error:
            self._warn(f"could not be written: {error.strerror}; mute will not survive a restart")

    def _warn(self, what: str) -> None:
        if not self._warned:
            self._warned = True
            log.warning("The state file %s %s.", self._path, what)
