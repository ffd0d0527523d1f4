"""Sample rates and numbers of channels are bounded, and so is the memory for any that are accepted."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser_model.audio.files import MOST_VALUES, Resampler
from ser_model.errors import SerError
from support.commands import environment, run

LIMITED = (
    "import resource; resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30)); "
    "import atexit, re; "
    "atexit.register(lambda: print('peak', *re.findall(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())))"
)
"""Limits the address space, for the sake of the machine, and prints the peak of the memory in KiB at the end.

The peak comes from proc(5), not from getrusage(2): that one also counts the memory of the process that forked.
"""

PEAK_MB = 200
"""Twice what a daemon needs."""


def sparse_wav(path: Path, rate: int, channels: int, size: int = 1 << 31) -> Path:
    """Write a WAV file of zeros that takes no space on the disk."""
    frame = 2 * channels
    format_ = struct.pack("<HHIIHH", 1, channels, rate, rate * frame % 2**32, frame, 16)
    with path.open("wb") as file:
        file.write(b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + struct.pack("<I", 16) + format_)
        file.write(b"data" + struct.pack("<I", size))
        file.truncate(44 + size)
    return path


def peak_mb(output: str) -> int:
    return int(output.split("peak ")[1].split()[0]) // 1024


def play(path: Path, *, pipe: bool) -> tuple[int, str, str]:
    """Run the daemon on a file, or on the file as stdin; return the exit status and what it printed."""
    environ = environment(SER_SOCKET=str(path.with_suffix(".sock")))
    with path.open("rb") as file:
        arguments = ["--mic", "stdin"] if pipe else ["--mic", f"file:{path}", "--fast"]
        ended = run("ser-daemon", "--plain", *arguments, before=LIMITED, environ=environ, stdin=file)
    return ended.code, ended.out, ended.err


@pytest.mark.parametrize("pipe", [False, True])
@pytest.mark.parametrize(
    ("rate", "channels", "reason"),
    [
        (768_000, 1024, "its sample rate is 768000 Hz, expected 1000 to 384000 Hz"),
        (384_000, 1024, "it has 1024 channels, expected 1 to 64"),
        (384_000, 64, "it has 64 channels at 384000 Hz; expected at most 48000 Hz for so many"),
    ],
)
def test_a_header_that_asks_for_gigabytes_is_refused(
    tmp_path: Path, pipe: bool, rate: int, channels: int, reason: str
) -> None:
    code, out, err = play(sparse_wav(tmp_path / "wide.wav", rate, channels), pipe=pipe)
    assert code == 2
    [line] = err.splitlines()
    assert line.startswith("ser-daemon: ")
    assert line.endswith(f"{reason}.")
    assert peak_mb(out) < PEAK_MB


@pytest.mark.parametrize("pipe", [False, True])
@pytest.mark.parametrize(("rate", "channels"), [(48_000, 64), (384_000, 8)])
def test_the_largest_format_that_is_accepted_takes_little_memory(
    tmp_path: Path, pipe: bool, rate: int, channels: int
) -> None:
    path = tmp_path / "wide.wav"
    soundfile.write(path, np.zeros((2 * rate, channels), np.float32), rate, subtype="DOUBLE")
    code, out, err = play(path, pipe=pipe)
    assert code == 0, err
    assert peak_mb(out) < PEAK_MB


def test_raw_samples_are_bounded_too(tmp_path: Path) -> None:
    with open(os.devnull, "rb") as nothing:
        ended = run(
            "ser-daemon", "--mic", "stdin", "--rate", "192000", "--channels", "64", "--socket", f"{tmp_path}/s",
            stdin=nothing,
        )  # fmt: skip
    ended.assert_error("ser-daemon", "it has 64 channels at 192000 Hz; expected at most 48000 Hz")


def test_a_resampler_accepts_what_the_limits_say_and_no_more() -> None:
    Resampler(MOST_VALUES / 64, 64)
    Resampler(MOST_VALUES / 8, 8)
    for rate, channels in ((MOST_VALUES / 64 + 1, 64), (MOST_VALUES / 8 + 1, 8), (16_000, 65), (16_000, 0)):
        with pytest.raises(SerError, match=r"^(its sample rate is|it has) .*\.$"):
            Resampler(rate, channels)
