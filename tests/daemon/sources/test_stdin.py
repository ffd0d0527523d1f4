"""Audio from a pipe: WAV headers as programs write them, raw samples, and pipes that end or stall."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_daemon.config.audio import AudioConfig
from ser_daemon.sources import make_source
from ser_daemon.sources.stdin import StdinSource
from ser_daemon.sources.wav_stream import PcmStream
from ser_model.audio.files import read_audio
from ser_model.errors import SerError

SAMPLES = np.random.default_rng(0).integers(-32_768, 32_768, 3_000).astype(np.int16)


def wav(
    data: bytes,
    *,
    size: int | None = None,
    tag: int = 1,
    channels: int = 1,
    rate: int = 16_000,
    bits: int = 16,
    before: bytes = b"",
    extra: bytes = b"",
) -> bytes:
    """Return a WAV file; `size` is the data size in its header, and `before` precedes the chunk `fmt `."""
    block = channels * bits // 8
    body = struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, bits) + extra
    chunks = before + b"fmt " + struct.pack("<I", len(body)) + body
    chunks += b"data" + struct.pack("<I", len(data) if size is None else size)
    return b"RIFF" + struct.pack("<I", 0xFFFFFFFF) + b"WAVE" + chunks + data


def read_pipe(content: bytes, piece: int = 65_536, **config: object) -> np.ndarray:
    """Return what a source reads from a pipe with `content`, which is written in pieces."""
    reader, writer = os.pipe()

    def write() -> None:
        try:
            for start in range(0, len(content), piece):
                os.write(writer, content[start : start + piece])
        except BrokenPipeError:
            pass
        finally:
            os.close(writer)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        source = StdinSource(AudioConfig(device="stdin", **config), reader)
        source.open()
        return np.concatenate([chunk.samples for chunk in iter(source.read, None)] or [SAMPLES[:0]])
    finally:
        os.close(reader)
        thread.join(10)


@pytest.mark.parametrize("size", [None, 0, 0xFFFFFFFF, 0x7FFFF000])
def test_a_wav_file_of_known_or_unknown_length_is_read_to_its_end(size: int | None) -> None:
    assert np.array_equal(read_pipe(wav(SAMPLES.tobytes(), size=size)), SAMPLES)


def test_chunks_before_and_after_the_samples_are_skipped() -> None:
    odd = b"LIST" + struct.pack("<I", 5) + b"abcde\x00"
    content = wav(SAMPLES.tobytes(), before=odd) + b"LIST" + struct.pack("<I", 4) + b"abcd"
    assert np.array_equal(read_pipe(content), SAMPLES)


def test_a_header_of_many_chunks_takes_time_in_proportion_to_its_length() -> None:
    def seconds(chunks: int) -> float:
        content = wav(b"", before=(b"junk" + bytes(4)) * chunks)
        stream = PcmStream()
        before = time.process_time()
        for start in range(0, len(content), 64):
            stream.feed(content[start : start + 64])
        assert stream.format is not None
        return time.process_time() - before

    # Parsing again from the beginning with each piece takes 64 times as long for 8 times the length.
    assert seconds(16_000) < 24 * max(seconds(2_000), 0.002)


def test_the_extensible_format_has_its_encoding_in_the_guid() -> None:
    guid = struct.pack("<H", 1) + bytes.fromhex("000000001000800000aa00389b71")
    extra = struct.pack("<HHI", 22, 16, 0) + guid
    assert np.array_equal(read_pipe(wav(SAMPLES.tobytes(), tag=0xFFFE, extra=extra)), SAMPLES)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_a_pipe_gives_the_same_samples_as_the_file(tmp_path: Path, subtype: str, rate: int) -> None:
    noise = np.random.default_rng(1).uniform(-1, 1, (3_001, 2))
    for format_ in ("WAV", "WAVEX"):
        path = tmp_path / f"{format_}.wav"
        soundfile.write(path, noise, rate, subtype=subtype, format=format_)
        assert np.array_equal(read_pipe(path.read_bytes(), piece=777, read_ms=10), read_audio(path))


@settings(max_examples=50, deadline=None)
@given(cuts=st.lists(st.integers(0, 400), max_size=12))
def test_the_result_does_not_depend_on_the_size_of_reads(cuts: list[int]) -> None:
    noise = np.random.default_rng(2).uniform(-1, 1, (60, 2))
    content = io.BytesIO()
    soundfile.write(content, noise, 16_000, subtype="PCM_24", format="WAV")
    whole = PcmStream().feed(content.getvalue())
    stream = PcmStream()
    positions = [0, *sorted(cuts), None]
    got = [stream.feed(content.getvalue()[a:b]) for a, b in itertools.pairwise(positions)]
    assert whole is not None
    assert len(whole) == 60
    assert np.array_equal(np.concatenate([frames for frames in got if frames is not None]), whole)
    assert stream.ended


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=80), valid=st.integers(0, 44))
def test_any_bytes_give_frames_or_an_error(content: bytes, valid: int) -> None:
    stream = PcmStream()
    with contextlib.suppress(SerError):
        frames = stream.feed(wav(b"")[:valid] + content)
        assert frames is None or frames.ndim == 2


@pytest.mark.parametrize(
    ("name", "encode"),
    [
        ("s16le", lambda x: x.astype("<i2").tobytes()),
        ("s32le", lambda x: (x.astype("<i4") * 65_536).tobytes()),
        ("f32le", lambda x: (x / 32_768).astype("<f4").tobytes()),
        ("u8", lambda x: (x // 256 + 128).astype(np.uint8).tobytes()),
    ],
)
def test_raw_samples_are_read_as_described(name: str, encode) -> None:
    wanted = SAMPLES // 256 * 256 if name == "u8" else SAMPLES
    stereo = np.repeat(SAMPLES[:, None].astype(int), 2, axis=1)
    got = read_pipe(encode(stereo), raw_rate=16_000, raw_channels=2, raw_format=name)
    assert np.array_equal(got, wanted)


def test_raw_floats_that_are_not_finite_are_zeros() -> None:
    values = np.array([np.nan, np.inf, 0.5, 7.0], "<f4").tobytes()
    assert read_pipe(values, raw_rate=16_000, raw_format="f32le").tolist() == [0, 0, 16_384, 32_767]


def test_a_pipe_closed_midway_keeps_the_whole_samples() -> None:
    content = wav(SAMPLES.tobytes())
    assert np.array_equal(read_pipe(content[: 44 + 2 * 1_000 + 1]), SAMPLES[:1_000])


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "stdin ended before any audio came"),
        (wav(b""), "stdin ended before any audio came"),
        (wav(b"")[:20], "stdin ended before any audio came"),
        (b"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00", "stdin carries no WAV file: it starts with"),
        (b"hello", "stdin carries no WAV file"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", "stdin carries no WAV file"),
        (
            b"\x1aE\xdf\xa3" + bytes(20),
            "WebM or Matroska, expected WAV; convert it: ... | ffmpeg -nostdin -loglevel error -i - ",
        ),
        (b"\0\0\0\x20ftypM4A " + bytes(20), "(M4A, MP4), expected WAV; save it, and convert the file: ffmpeg "),
        (wav(b"1234", tag=7, bits=8), "format 0x0007 with 8 bits and 1 channels; expected PCM of 8"),
        (wav(b"1234", channels=0), "with 16 bits and 0 channels"),
        (wav(b"1234", rate=0), "its sample rate is 0 Hz, expected 1000 to 384000 Hz"),
        (b"RIFF----WAVEjunk\xff\xff\xff\x7f", "its chunk b'junk' claims 2147483647 bytes"),
        (b"RIFF----WAVEdata\x04\x00\x00\x001234", "its data comes before its format"),
        (b"RIFF----WAVEfmt \x02\x00\x00\x00\x01\x00....", "its format has 2 bytes, expected 16 or more"),
    ],
)
def test_other_data_than_audio_is_an_error(content: bytes, text: str) -> None:
    with pytest.raises(SerError) as caught:
        read_pipe(content)
    assert text in str(caught.value)


@pytest.fixture
def pipe() -> Iterator[tuple[StdinSource, int]]:
    """Return an open source of raw 16 kHz samples, and the writing end of its pipe."""
    reader, writer = os.pipe()
    source = StdinSource(AudioConfig(device="stdin", raw_rate=16_000, read_ms=50), reader)
    source.open()
    yield source, writer
    os.close(reader)
    os.close(writer)


def test_a_silent_pipe_gives_empty_chunks_in_time(pipe: tuple[StdinSource, int]) -> None:
    source, _ = pipe
    before = time.monotonic()
    chunk = source.read()
    assert chunk is not None
    assert len(chunk.samples) == 0
    assert 0.04 < time.monotonic() - before < 2


def test_a_read_takes_read_ms_and_leaves_the_rest_in_the_pipe(pipe: tuple[StdinSource, int]) -> None:
    source, writer = pipe
    os.write(writer, SAMPLES[:1_000].tobytes())
    lengths = [len(chunk.samples) for chunk in (source.read(), source.read()) if chunk is not None]
    assert lengths == [800, 200]


def test_data_written_while_closed_is_dropped(pipe: tuple[StdinSource, int]) -> None:
    source, writer = pipe
    os.write(writer, SAMPLES[:100].tobytes())
    assert source.read() is not None
    source.close()
    source.close()
    # Ends with half a sample, which must not misalign the stream.
    os.write(writer, SAMPLES[100:200].tobytes() + SAMPLES[200:201].tobytes()[:1])
    source.open()
    os.write(writer, SAMPLES[200:201].tobytes()[1:] + SAMPLES[201:300].tobytes())
    chunk = source.read()
    assert chunk is not None
    assert np.array_equal(chunk.samples, SAMPLES[200:300])


def test_a_terminal_or_a_closed_stdin_is_an_error() -> None:
    leader, follower = os.openpty()
    try:
        with pytest.raises(SerError, match="stdin is a terminal; expected audio from a pipe"):
            StdinSource(AudioConfig(device="stdin"), follower).open()
    finally:
        os.close(leader)
        os.close(follower)
    with pytest.raises(SerError, match="stdin cannot be read: Bad file descriptor"):
        StdinSource(AudioConfig(device="stdin"), follower).open()


def test_the_device_stdin_is_the_stdin_source() -> None:
    source = make_source(AudioConfig(device="stdin"))
    assert isinstance(source, StdinSource)
    assert (source.name, source.live) == ("stdin", False)
