"""Keeps the mute state of the microphone over a restart."""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from pathlib import Path

from ser_model.atomic_file import replace_file
from ser_model.small_file import UnreadableFileError, read_small_file

log = logging.getLogger(__name__)

FILE_NAME = "muted"

_STATES = {b"0\n": False, b"0": False, b"1\n": True, b"1": True}
_MAX_BYTES = max(map(len, _STATES))

_RETRIES = 20
_RETRY_SECONDS = 0.05
"""How often and how soon the file is tried again while the process has no descriptor left.

Subscribers that use them up are disconnected meanwhile, and a mute must not be lost because of them.
"""


class MuteMemory:
    """A file `muted` in the state directory that holds `1` or `0`.

    A state that cannot be read counts as muted: somebody may have muted the microphone, and wants it to stay so. A
    directory that cannot be written does not stop the daemon; it logs once that the state will not survive a restart.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME
        self._warned = False
        self._wanted = False
        self._writing = threading.Lock()

    def load(self, *, default: bool) -> bool:
        """Return the stored state; `default` (the setting `start_muted`) where none was ever stored."""
        try:
            os.lstat(self._path)
            content = read_small_file(self._path, _MAX_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            if self._path.is_symlink():
                return self._unsure("is a link to a file that is not there")
            return default
        except OSError as error:
            return self._unsure(f"cannot be read: {error.strerror}")
        except UnreadableFileError as error:
            return self._unsure(f"cannot be read: {error}")
        if content not in _STATES:
            return self._unsure("is neither 0 nor 1")
        return default or _STATES[content]

    def store(self, muted: bool) -> None:
        """Store the state in one step: after a crash the file holds the old or the new value. Syncs the disk.

        A call that hangs and is overtaken by a later one stores the later state.
        """
        self._wanted = muted
        with self._writing:
            try:
                self._replace()
            except OSError as error:
                if not self._warned:
                    self._warned = True
                    log.warning(
                        "The state file %s could not be written: %s; mute will not survive a restart.",
                        self._path,
                        error.strerror,
                    )

    def _replace(self) -> None:
        for left in reversed(range(_RETRIES)):
            try:
                replace_file(self._path, "1\n" if self._wanted else "0\n", 0o600)
                return
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE) or not left:
                    raise
                time.sleep(_RETRY_SECONDS)

    def _unsure(self, problem: str) -> bool:
        log.warning(
            "The state file %s %s: the microphone may have been muted, so it stays muted until `ser-ctl unmute`.",
            self._path,
            problem,
        )
        return True
