"""Audio from files and pipes: headers that lie, files that are cut, samples that are no numbers."""

from __future__ import annotations

import io
import os
import struct
from functools import cache
from typing import Any

import numpy as np
import soundfile
from hypothesis import strategies as st

from fuzz.files import edit, folder, place
from fuzz.invariants import require
from fuzz.strategies import file_kinds
from fuzz.target import register
from fuzz.targets.state import edits
from ser_daemon.config.audio import AudioConfig
from ser_daemon.sources.file import FileSource
from ser_daemon.sources.stdin import StdinSource
from ser_model.types import Samples

READS = 4
"""Reads of one example: none takes more than a second of audio."""

MOST_SAMPLES = 65_536 * 16
"""Samples of one read: a pipe holds 64 KiB when its header is read, and 1 kHz is the lowest rate."""

rates = st.one_of(
    st.sampled_from([0, 1, 8000, 16_000, 48_000, 192_000, 768_000, 2**31, 2**32 - 1]), st.integers(0, 10**6)
)
counts = st.one_of(st.integers(0, 8), st.sampled_from([64, 255, 256, 1024, 65_535]))
tags = st.sampled_from([(1, 8), (1, 16), (1, 24), (1, 32), (3, 32), (3, 64), (0xFFFE, 16), (1, 0), (85, 16), (1, 12)])
headers = st.tuples(tags, counts, rates, st.sampled_from([0, 100, 3200, 2**32 - 1, 2**31]))


def wav(header: tuple[Any, ...], chunks: list[tuple[bytes, int]] = []) -> bytes:  # noqa: B006 - never changed
    """The bytes before the samples of a WAV file."""
    (tag, bits), channels, rate, length = header
    extra = b"".join(name + struct.pack("<I", size) + b"\0" * min(size, 4096) for name, size in chunks)
    body = struct.pack("<HHIIHH", tag, channels, rate, 0, 0, bits)
    if tag == 0xFFFE:
        body += struct.pack("<HHIH", 22, bits, 0, 1) + b"\0" * 14
    start = b"RIFF" + struct.pack("<I", 2**32 - 1) + b"WAVE" + extra
    return start + b"fmt " + struct.pack("<I", len(body)) + body + b"data" + struct.pack("<I", length)


def check_samples(samples: Samples) -> None:
    """Check what a source returns."""
    require(samples.dtype == np.int16 and samples.ndim == 1, "no samples", repr(samples)[:60])
    require(len(samples) <= MOST_SAMPLES, "more than a read", f"{len(samples)} samples")


chunk_names = st.sampled_from([b"LIST", b"fact", b"fmt ", b"data", b"\x1b[2J", b"JUNK"])
pipes = st.tuples(
    headers,
    st.lists(st.tuples(chunk_names, st.sampled_from([0, 1, 4, 100, 4000, 2**31, 2**32 - 1])), max_size=3),
    edits,
    st.binary(max_size=16),
    st.integers(10, 1000),
    st.none() | st.integers(1, 64),
)


@register("wav", pipes, quick=120, isolated=True, seconds=6.0)
def check_wav(example: tuple[Any, ...]) -> None:
    """A WAV stream with any header and endless samples takes little memory, and a read returns in time."""
    header, chunks, changes, pattern, read_ms, channel = example
    content = edit(wav(header, chunks), changes) + pattern * 400
    with folder() as path:
        # A sparse file in place of a pipe: samples without an end that nobody has to write.
        place(path / "pipe", "sparse", content)
        descriptor = os.open(path / "pipe", os.O_RDONLY)
        try:
            source = StdinSource(AudioConfig(read_ms=read_ms, channel=channel), descriptor)
            _read(source)
        finally:
            os.close(descriptor)


def _read(source: Any) -> None:
    source.open()
    try:
        for _ in range(READS):
            chunk = source.read()
            if chunk is None:
                return
            check_samples(chunk.samples)
    finally:
        source.close()


@register(
    "raw",
    st.tuples(
        st.integers(4000, 192_000),
        st.integers(1, 64),
        st.sampled_from(["s16le", "s32le", "f32le", "u8"]),
        st.binary(max_size=200),
        st.integers(10, 1000),
    ),
    quick=60,
    seconds=6.0,
    isolated=True,
)
def check_raw(example: tuple[Any, ...]) -> None:
    """Raw samples may be any bytes."""
    rate, channels, form, content, read_ms = example
    with folder() as path:
        place(path / "pipe", "sparse", content * 50)
        descriptor = os.open(path / "pipe", os.O_RDONLY)
        try:
            config = AudioConfig(raw_rate=rate, raw_channels=channels, raw_format=form, read_ms=read_ms)
            _read(StdinSource(config, descriptor))
        finally:
            os.close(descriptor)


FORMS = (
    ("WAV", "PCM_16"),
    ("WAV", "FLOAT"),
    ("WAV", "IMA_ADPCM"),
    ("FLAC", "PCM_16"),
    ("OGG", "VORBIS"),
    ("AIFF", "PCM_24"),
    ("AU", "ULAW"),
    ("W64", "PCM_16"),
    ("CAF", "ALAW"),
)


@cache
def recording(form: tuple[str, str], channels: int) -> bytes:
    """A good file of 50 ms."""
    out = io.BytesIO()
    samples = np.random.default_rng(1).normal(0, 0.1, (400, channels))
    soundfile.write(out, samples, 8000, format=form[0], subtype=form[1])
    return out.getvalue()


@register(
    "audio-file",
    st.tuples(file_kinds, st.sampled_from(FORMS), st.integers(1, 2), edits, edits, st.none() | st.integers(1, 3)),
    quick=150,
    isolated=True,
    seconds=6.0,
)
def check_audio_file(example: tuple[Any, ...]) -> None:
    """A damaged file is read, or refused with one sentence."""
    kind, form, channels, head, changes, channel = example
    # Most of what can go wrong is in the first bytes.
    content = edit(recording(tuple(form), channels), changes)
    content = edit(content[:64], head) + content[64:]
    with folder() as path:
        # Looking for the end of a damaged Ogg file reads all of it, which takes seconds with gigabytes.
        place(path / "a.wav", "file" if kind == "sparse" else kind, content)
        _read(FileSource(path / "a.wav", AudioConfig(pace="fast", channel=channel)))
