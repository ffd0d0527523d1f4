"""Recordings of the event stream: written as they come, read as far as they are whole."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ser_daemon.watch.recording import Recorder, Recording
from ser_model.errors import SerError
from support.commands import environment, program, run
from support.talk import TALK, entries


def read(path: Path) -> tuple[int, str | None]:
    """The number of lines that are played, and what is wrong with the file."""
    recording = Recording(path)
    return len(list(recording.entries())), recording.problem()


def test_what_was_written_is_read_back_to_the_byte_and_in_time(tmp_path):
    now = iter([7.0, 7.25, 9.5])
    recorder = Recorder(tmp_path / "talk", clock=lambda: next(now))
    lines = [entry.line for entry in entries()[:3]]
    for line in lines:
        recorder.write(line)
    recorder.close()
    assert [entry.line for entry in entries(tmp_path / "talk")] == lines
    assert [entry.seconds for entry in entries(tmp_path / "talk")] == [0.0, 0.25, 2.5]
    assert (tmp_path / "talk").stat().st_mode & 0o777 == 0o600


def test_each_line_of_a_recording_is_a_line_of_the_protocol():
    for text, entry in zip(TALK.read_text().splitlines(), entries(), strict=True):
        message = json.loads(text)
        assert message.pop("received_ms") == round(1000 * entry.seconds)
        assert message == json.loads(entry.line)


def test_lines_without_a_time_are_played_by_their_timestamps(tmp_path):
    (tmp_path / "raw").write_bytes(b"".join(entry.line + b"\n" for entry in entries()))
    raw = entries(tmp_path / "raw")
    assert [entry.line for entry in raw] == [entry.line for entry in entries()]
    assert raw[0].seconds == 0
    assert raw[-1].seconds == pytest.approx(entries()[-1].seconds, abs=1)
    assert sorted(entry.seconds for entry in raw) == [entry.seconds for entry in raw]


@given(st.integers(0, TALK.stat().st_size))
@example(TALK.read_bytes().index(b"},") + 1)
def test_of_a_file_that_was_cut_anywhere_all_whole_lines_are_played(tmp_path_factory, size):
    path = tmp_path_factory.mktemp("cut") / "talk"
    content = TALK.read_bytes()[:size]
    path.write_bytes(content)
    # The newline alone may be missing. A brace within a line ends nothing.
    lacks_newline = TALK.read_bytes()[size : size + 1] == b"\n"
    whole = content.count(b"\n") + lacks_newline
    played, problem = read(path)
    assert played == whole
    assert (problem is None) == (whole > 0 and (lacks_newline or content.endswith(b"\n")))
    if problem:
        assert problem.count(".") >= 1
        assert "\n" not in problem


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"RIFF\0\0\0\0WAVEfmt \n\xff\xfe", "is no recording"),
        (b'{"a": 1}\n[]\nnull\n', "is no recording"),
        (b"x" * 200_000, "is no recording"),
        (b"x\n" * 100_000, "is no recording"),
    ],
)
def test_a_foreign_or_empty_file_is_one_sentence(tmp_path, content, words):
    (tmp_path / "file").write_bytes(content)
    played, problem = read(tmp_path / "file")
    assert played == 0
    assert words in problem
    done = run("ser-watch", "--replay", str(tmp_path / "file"), "--fast", "--plain")
    done.assert_error("ser-watch", words, "--record")


def test_what_is_foreign_between_whole_lines_is_counted_and_left_out(tmp_path):
    lines = TALK.read_bytes().splitlines(keepends=True)
    long = b'{"type":"emotion","data":{"x":"' + b"y" * 100_000 + b'"}}\n'
    emotion = b'{"type":"emotion","data":{"label":7}}\n'
    (tmp_path / "file").write_bytes(b"".join([*lines[:2], b"\n", b"noise\n", long, emotion, *lines[2:]]))
    played, problem = read(tmp_path / "file")
    assert played == len(lines)
    assert "3 lines that are not ser-daemon's, the first is line 4" in problem


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_one_sentence(tmp_path):
    recorder = Recorder(Path("/dev/full"))
    with pytest.raises(SerError, match=r"/dev/full cannot be written: No space left on device\. The 0 lines"):
        recorder.write(entries()[0].line)


def test_a_recording_on_a_full_disk_ends_with_a_whole_line(tmp_path):
    # The size of a file is limited in the middle of its fourth line (ulimit counts blocks of 1024 bytes).
    limited = ["bash", "-c", 'ulimit -f 2; exec "$@"', "-", *program("ser-watch")]
    path = tmp_path / "copy"
    done = subprocess.run(
        [*limited, "--replay", str(TALK), "--fast", "--record", str(path), "--format", "rcs"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "cannot be written: File too large. The 4 lines before are in it." in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert read(path) == (4, None)


def test_a_recording_that_is_played_is_not_overwritten(tmp_path):
    path = tmp_path / "talk"
    path.write_bytes(TALK.read_bytes())
    os.link(path, tmp_path / "other")
    done = run("ser-watch", "--replay", str(path), "--record", str(tmp_path / "other"), "--fast")
    done.assert_error("ser-watch", "cannot be recorded to while it is played")
    assert path.read_bytes() == TALK.read_bytes()


def test_a_file_that_cannot_be_made_or_read_is_one_sentence(tmp_path):
    run("ser-watch", "--record", str(tmp_path), "--json").assert_error("ser-watch", "Is a directory")
    run("ser-watch", "--replay", str(tmp_path / "none")).assert_error("ser-watch", "No such file")


@pytest.mark.parametrize("kind", ["a named pipe", "a device", "a folder"])
def test_what_is_no_file_is_refused_at_once(tmp_path, kind):
    path = {"a named pipe": tmp_path / "pipe", "a device": Path("/dev/zero"), "a folder": tmp_path}[kind]
    if kind == "a named pipe":
        os.mkfifo(path)
    made = [*program("ser-watch"), "--replay", str(path)]
    done = subprocess.run(made, env=environment(), capture_output=True, text=True, timeout=20)
    assert done.returncode == 2
    assert f"{path} cannot be played: it is " in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr


def test_a_recording_is_not_written_into_a_pipe_that_nobody_reads(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="No such device"):
        Recorder(tmp_path / "pipe")
