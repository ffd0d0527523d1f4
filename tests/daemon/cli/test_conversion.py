"""The command that a message names for a recording in another format is typed as it stands, and works."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import soundfile

from ser_daemon.cli.demo import bundled_recording
from ser_model.types import SAMPLE_RATE
from support.commands import WAIT, program, run

HEARD = 9
"""Seconds of the recording: two sentences."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with speech.wav, and a program `ser-daemon` that prints lines."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed (Debian: ffmpeg)")
    samples, _ = soundfile.read(bundled_recording(), frames=HEARD * SAMPLE_RATE, dtype="int16")
    soundfile.write(tmp_path / "speech.wav", samples, SAMPLE_RATE)
    daemon = tmp_path / "bin" / "ser-daemon"
    daemon.parent.mkdir()
    command = shlex.join([*program("ser-daemon"), "--plain", "--socket", str(tmp_path / "ser.sock")])
    daemon.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    daemon.chmod(0o755)
    return tmp_path


def convert(folder: Path, name: str, codec: str = "aac") -> None:
    source = ["-i", str(folder / "speech.wav"), "-c:a", codec]
    subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", *source, f"file:{name}"], cwd=folder, check=True)


@pytest.mark.parametrize(("name", "codec"), [("my talk.m4a", "aac"), ("at 10:30.webm", "libopus"), ("talk.aac", "aac")])
def test_the_command_that_is_named_for_a_file_works(folder: Path, name: str, codec: str) -> None:
    convert(folder, name, codec)
    refused = run("ser-daemon", "--mic", f"file:{folder / name}")
    refused.assert_error("ser-daemon", "cannot be read", "convert it: ")
    command = refused.err.partition("convert it: ")[2].strip()
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT,
        check=True,
    )
    assert done.stderr == ""
    finals = [line for line in done.stdout.splitlines() if "(final" in line]
    assert [line.split()[2] for line in finals] == ["u-1", "u-2"]
