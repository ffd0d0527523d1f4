"""A file that is written in one step is the old one or the new one, and nothing is left beside it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ser_model.atomic_file import open_atomic, replace_file


def test_text_and_bytes_replace_the_file_and_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    replace_file(path, "naïve\n")
    assert path.read_bytes() == "naïve\n".encode()
    replace_file(path, b"\x00\n")
    assert path.read_bytes() == b"\x00\n"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o644, 0o600])
def test_the_permissions_are_the_ones_asked_for(tmp_path: Path, mode: int) -> None:
    replace_file(tmp_path / "file", "", mode)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode


def fail_half_way(path: Path) -> None:
    with open_atomic(path) as file:
        file.write(b"half of it")
        raise OSError("full")


def test_an_error_while_writing_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(OSError, match="full"):
        fail_half_way(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
