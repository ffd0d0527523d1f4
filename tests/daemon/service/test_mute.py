"""The mute state over a restart, and what happens where it cannot be stored or read."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ser_daemon.service.mute import MuteMemory


@pytest.mark.parametrize("muted", [True, False])
def test_the_last_setting_is_remembered(tmp_path: Path, muted: bool) -> None:
    MuteMemory(tmp_path / "new").store(not muted)
    MuteMemory(tmp_path / "new").store(muted)
    assert MuteMemory(tmp_path / "new").load(default=False) is muted
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["muted"]


@pytest.mark.parametrize("default", [True, False])
def test_without_a_memory_the_setting_decides(tmp_path: Path, default: bool) -> None:
    assert MuteMemory(tmp_path).load(default=default) is default


def test_start_muted_means_every_start(tmp_path: Path) -> None:
    MuteMemory(tmp_path).store(False)
    assert MuteMemory(tmp_path).load(default=True) is True


@pytest.mark.parametrize("content", [b"", b"yes", b"\xff\xfe", b"1" * 100_000])
def test_a_damaged_state_means_muted_until_it_is_replaced(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "muted").write_bytes(content)
    assert MuteMemory(tmp_path).load(default=False) is True
    assert len(caplog.records) == 1
    assert "ser-ctl unmute" in caplog.text
    MuteMemory(tmp_path).store(False)
    assert MuteMemory(tmp_path).load(default=False) is False


@pytest.mark.parametrize("kind", ["fifo", "folder", "endless", "loop", "dangling"])
def test_what_is_no_file_means_muted_and_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "muted"
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "endless":
            path.symlink_to("/dev/zero")
        case "loop":
            path.symlink_to(path)
        case "dangling":
            path.symlink_to(tmp_path / "nowhere")
    assert MuteMemory(tmp_path).load(default=False) is True


def test_a_folder_that_cannot_be_written_is_said_once_and_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    memory = MuteMemory(tmp_path / "file" / "state")
    with caplog.at_level(logging.WARNING):
        memory.store(True)
        memory.store(False)
    assert len(caplog.records) == 1
    assert "will not survive a restart" in caplog.text


def test_a_mute_is_stored_as_soon_as_a_descriptor_is_free(tmp_path: Path) -> None:
    """Run in a process of its own, which uses up its descriptors for 0.3 s."""
    program = """
import os, resource, sys, threading, time
from pathlib import Path
from ser_daemon.service.mute import MuteMemory
memory = MuteMemory(Path(sys.argv[1]))
memory.store(False)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
taken = []
try:
    while True:
        taken.append(os.dup(0))
except OSError:
    pass
def free():
    for one in taken:
        os.close(one)
threading.Timer(float(sys.argv[2]), free).start()
memory.store(True)
"""
    for seconds, stored in ((0.3, b"1\n"), (3.0, b"0\n")):
        folder = tmp_path / f"{seconds:g}"
        done = subprocess.run(
            [sys.executable, "-c", program, str(folder), str(seconds)], capture_output=True, text=True, check=True
        )
        assert (folder / "muted").read_bytes() == stored
        assert done.stderr.count("mute will not survive a restart") == (stored == b"0\n")
