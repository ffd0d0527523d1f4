"""Files that take their places together. They are written beside their places first; an undo brings the old ones back.

Writing can fail: the disk is full, a folder is read-only. So everything is written before the first old file goes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(slots=True)
class _Entry:
    """One file or link."""

    place: Path
    had: bool = False
    """Whether something was in the place before."""
    touched: bool = False
    """Whether the place may hold the new file."""

    @property
    def new(self) -> Path:
        """The new file, until it is in its place."""
        return self.place.with_name(f".{self.place.name}.half")

    @property
    def old(self) -> Path:
        """A second name of the old file, until the switch is finished."""
        return self.place.with_name(f".{self.place.name}.old")


class Switch:
    """New files and links for an installation."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._folders: list[Path] = []

    def add_file(self, source: Path, place: Path, mode: int = 0o644) -> bool:
        """Write a copy beside its place; return `False` if the file in the place is the same already."""
        if place.is_file() and not place.is_symlink() and place.read_bytes() == source.read_bytes():
            return False

        def write(new: Path) -> None:
            shutil.copyfile(source, new)
            new.chmod(mode)

        self._add(place, write)
        return True

    def add_link(self, place: Path, aim: Path) -> None:
        """Make a link beside its place."""
        self._add(place, lambda new: new.symlink_to(aim))

    def commit(self) -> None:
        """Put everything in its place, one rename each."""
        for entry in self._entries:
            entry.old.unlink(missing_ok=True)
            entry.had = os.path.lexists(entry.place)
            if entry.had:
                os.link(entry.place, entry.old, follow_symlinks=False)
            entry.touched = True
            os.replace(entry.new, entry.place)

    def undo(self) -> list[OSError]:
        """Bring back what was there before, also after half a commit; return what could not be done."""
        failures = []
        for entry in reversed(self._entries):
            try:
                if entry.touched and entry.had:
                    os.replace(entry.old, entry.place)
                elif entry.touched:
                    entry.place.unlink(missing_ok=True)
                entry.new.unlink(missing_ok=True)
                # Still there if the place was not switched: a rename to another name of the same file does nothing.
                entry.old.unlink(missing_ok=True)
            except OSError as error:
                failures.append(error)
        for folder in reversed(self._folders):
            with contextlib.suppress(OSError):
                folder.rmdir()
        return failures

    def finish(self) -> None:
        """Forget the old files."""
        for entry in self._entries:
            with contextlib.suppress(OSError):
                entry.old.unlink(missing_ok=True)

    def _add(self, place: Path, write: Callable[[Path], None]) -> None:
        for folder in reversed([each for each in place.parents if not each.exists()]):
            self._folders.append(folder)
            folder.mkdir()
        entry = _Entry(place)
        self._entries.append(entry)
        entry.new.unlink(missing_ok=True)
        write(entry.new)
