"""Files of any format give the same 16 kHz mono int16, for any size of the reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_model.audio.files import AudioFileReader, Resampler, read_audio
from ser_model.errors import SerError


def tone(rate: int, seconds: float = 0.5, hertz: float = 440.0) -> np.ndarray:
    """A sine at half of full scale, as float."""
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)


def write(path: Path, samples: np.ndarray, rate: int, subtype: str) -> Path:
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize(
    ("suffix", "subtype"),
    [(".wav", kind) for kind in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")]
    + [(".flac", kind) for kind in ("PCM_16", "PCM_24")],
)
def test_a_tone_survives_every_format_and_rate(tmp_path: Path, suffix: str, subtype: str, rate: int) -> None:
    stereo = np.stack([tone(rate)] * 2, axis=1)
    samples = read_audio(write(tmp_path / f"tone{suffix}", stereo, rate, subtype))
    assert samples.dtype == np.int16
    assert len(samples) == 8_000
    # Without the ends, where a band-limited signal cannot start or stop at once.
    wanted = tone(16_000)[800:-800] * 32_768
    assert np.abs(samples[800:-800] - wanted).max() < (400 if subtype == "PCM_U8" else 30)


def test_sixteen_bit_mono_at_16_khz_stays_as_it_is(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).integers(-32_768, 32_768, 20_000).astype(np.int16)
    for name in ("x.wav", "x.flac"):
        assert np.array_equal(read_audio(write(tmp_path / name, samples, 16_000, "PCM_16")), samples)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("seconds", [0.0001, 0.0137, 0.1, 10.0])
def test_the_size_of_the_reads_changes_no_sample(tmp_path: Path, rate: int, seconds: float) -> None:
    noise = np.random.default_rng(1).uniform(-1, 1, (round(rate * 0.21), 2))
    path = write(tmp_path / "noise.wav", noise, rate, "PCM_24")
    with AudioFileReader(path) as reader:
        pieces = []
        while (piece := reader.read(seconds)) is not None:
            pieces.append(piece)
        assert reader.read(seconds) is None
    assert np.array_equal(np.concatenate(pieces), read_audio(path))


@settings(max_examples=30, deadline=None)
@given(
    rate=st.sampled_from([8_000, 11_025, 16_000, 44_100, 48_000]),
    cuts=st.lists(st.integers(0, 6_000), max_size=8),
)
def test_a_resampler_gives_the_same_for_any_pieces(rate: int, cuts: list[int]) -> None:
    signal = np.random.default_rng(2).integers(-9_000, 9_000, (6_000, 2)).astype(np.int16)
    whole = Resampler(rate, 2)
    wanted = np.concatenate([whole.push(signal), whole.flush()])
    pieces = Resampler(rate, 2)
    got = [pieces.push(piece) for piece in np.split(signal, sorted(cuts))]
    assert np.array_equal(np.concatenate([*got, pieces.flush()]), wanted)
    assert len(wanted) == round(6_000 * 16_000 / rate)


def test_int16_and_float32_give_the_same() -> None:
    signal = np.random.default_rng(3).integers(-32_768, 32_768, (4_410, 1)).astype(np.int16)
    one, other = Resampler(44_100), Resampler(44_100)
    floats = (signal / 32_768).astype(np.float32)
    assert np.array_equal(one.push(signal), other.push(floats))
    assert np.array_equal(one.flush(), other.flush())


def test_channels_are_averaged_or_chosen() -> None:
    frames = np.array([[100, 300], [-5, -10], [32_767, 32_767]], np.int16)
    assert Resampler(16_000, 2).push(frames).tolist() == [200, -8, 32_767]
    assert Resampler(16_000, 2, channel=1).push(frames).tolist() == [100, -5, 32_767]
    assert Resampler(16_000, 2, channel=2).push(frames).tolist() == [300, -10, 32_767]


def test_values_that_are_not_finite_become_zero_and_too_loud_ones_are_clipped(tmp_path: Path) -> None:
    values = np.array([np.nan, np.inf, -np.inf, 2.0, -2.0, 1e30, 0.5, -1.0], np.float32)
    path = write(tmp_path / "broken.wav", values, 16_000, "FLOAT")
    assert read_audio(path).tolist() == [0, 0, 0, 32_767, -32_768, 32_767, 16_384, -32_768]


def test_nan_in_one_channel_does_not_affect_the_other() -> None:
    frames = np.array([[np.nan, 0.5]], np.float32)
    assert Resampler(16_000, 2).push(frames).tolist() == [8_192]


def test_a_full_scale_square_wave_does_not_wrap_around() -> None:
    square = np.where(np.arange(48_000) // 50 % 2 == 0, 32_767, -32_768).astype(np.int16)
    loud = Resampler(48_000).push(square)
    # The overshoot of the filter must not wrap around to the other sign.
    assert np.abs(loud[1_000:2_000].astype(int)).max() == 32_768
    assert np.mean(np.abs(np.diff(loud[1_000:2_000].astype(int))) > 60_000) < 0.07


def _damaged_flac(path: Path) -> Path:
    whole = write(path, np.random.default_rng(4).uniform(-1, 1, 32_000), 16_000, "PCM_16").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


def _of(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda folder: folder / "none.wav", r"Cannot read .*none\.wav: No such file or directory\.$"),
        (lambda folder: folder, r"Cannot read .*: Is a directory\.$"),
        (lambda folder: _of(folder / "a.wav", b""), r"a\.wav is empty; expected a WAV or FLAC file\.$"),
        (
            lambda folder: _of(folder / "a.wav", b"\x00garbage" * 99),
            r"a\.wav is not a WAV or FLAC file .*\.$",
        ),
        (lambda folder: _of(folder / "a.flac", b"fLaC"), r"a\.flac is not a WAV or FLAC file .*\.$"),
        (
            lambda folder: write(folder / "a.wav", np.zeros(0), 16_000, "PCM_16"),
            r"a\.wav cannot be used: it holds no audio, .* 0 samples\.$",
        ),
        (
            lambda folder: write(folder / "a.wav", np.zeros(9), 10, "PCM_16"),
            r"a\.wav cannot be used: its sample rate is 10 Hz, expected 1000 to 384000 Hz\.$",
        ),
        (lambda folder: _damaged_flac(folder / "a.flac"), r"a\.flac is damaged: .*\.$"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_the_reason(tmp_path: Path, make, text: str) -> None:
    with pytest.raises(SerError, match=text):
        read_audio(make(tmp_path))


def test_a_channel_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "stereo.wav", np.zeros((9, 2)), 16_000, "PCM_16")
    with pytest.raises(SerError, match="channel 3 was asked for, expected 1 to 2"):
        read_audio(path, channel=3)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\0\0\0\x20ftypM4A ", "MPEG-4 audio (M4A, MP4)"),
        (b"\x1aE\xdf\xa3", "WebM or Matroska"),
        (b"\xff\xf1\x50\x80", "AAC"),
        (b"#!AMR\n", "AMR"),
        (b"ID3\x04", "MP3"),
    ],
)
def test_a_format_that_cannot_be_read_is_named_with_the_command_that_converts_it(
    tmp_path: Path, head: bytes, name: str
) -> None:
    path = tmp_path / "my talk"
    path.write_bytes(head + bytes(200))
    with pytest.raises(SerError) as caught:
        read_audio(path)
    assert str(caught.value) == (
        f"{path} is {name} that cannot be read, expected WAV or FLAC; "
        f"convert it: ffmpeg -nostdin -loglevel error -i '{path}' -f wav - | ser-daemon --mic stdin"
    )
