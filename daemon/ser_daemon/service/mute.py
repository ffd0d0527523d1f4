"""Whether the microphone was muted, remembered across restarts."""

from __future__ import annotations

import logging
from pathlib import Path

from ser_model.atomic_file import replace_file

log = logging.getLogger(__name__)

FILE_NAME = "muted"


class MuteMemory:
    """A file `muted` in the state directory that holds `1` or `0`.

    A directory that cannot be written is no reason to stop listening, or to go on listening when asked not
    to: the daemon runs on, and says once that the setting will not survive a restart.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME
        self._warned = False

    def load(self, *, default: bool) -> bool:
        """What was stored last; `default` (the setting `start_muted`) where nothing legible was."""
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
        """Remember; replaced in one step, so that a crash leaves the old or the new value."""
        try:
            replace_file(self._path, "1\n" if muted else "0\n", 0o600)
        except OSError as error:
            self._warn(f"could not be written: {error.strerror}; mute will not survive a restart")

    def _warn(self, what: str) -> None:
        if not self._warned:
            self._warned = True
            log.warning("The state file %s %s.", self._path, what)
