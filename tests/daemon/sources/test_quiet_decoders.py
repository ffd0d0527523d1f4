"""What a decoder says about an odd file does not reach the terminal."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from support.commands import environment, run

FRAME = b"\xff\xfb\x90\x00"
"""Header of a frame of MPEG-1 layer III, which libsndfile leaves to libmpg123."""


def mpeg(seed: int) -> bytes:
    """Return frames of noise, of the right size and of wrong ones."""
    rng = np.random.default_rng(seed)
    sizes = rng.choice([100, 413, 600], 60)
    return b"".join(FRAME + rng.bytes(int(size)) for size in sizes)


def in_wav(content: bytes) -> bytes:
    format_ = struct.pack("<HHIIHHHHIHHH", 0x55, 1, 44_100, 16_000, 1, 0, 12, 1, 2, 418, 1, 1393)
    chunk = (
        b"WAVEfmt " + struct.pack("<I", len(format_)) + format_ + b"data" + struct.pack("<I", len(content)) + content
    )
    return b"RIFF" + struct.pack("<I", len(chunk)) + chunk


CONTENTS = {
    "mpeg": mpeg(0),
    "mpeg-2": mpeg(1),
    "id3": b"ID3\x04\x00\x40\x7f\x7f\x7f\x7f" + mpeg(2),
    "mpeg-in-wav": in_wav(mpeg(3)),
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_commands_say_one_sentence_about_a_file_or_none(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "odd.wav"
    path.write_bytes(CONTENTS[kind])
    environ = environment(SER_SOCKET=str(tmp_path / "s"), XDG_STATE_HOME=str(tmp_path), XDG_CONFIG_HOME=str(tmp_path))
    for name, *arguments in (
        ("ser-daemon", "--mic", f"file:{path}", "--fast", "--plain"),
        ("ser-calibrate", "mic", "--from", str(path), str(path)),
        ("ser-calibrate", "speaker", "anna", "--from", str(path)),
    ):
        ended = run(name, *arguments, environ=environ)
        lines = ended.err.splitlines()
        assert len(lines) == (0 if ended.code == 0 else 1), ended.err
        assert all(line.startswith(f"{name}: ") for line in lines), ended.err
