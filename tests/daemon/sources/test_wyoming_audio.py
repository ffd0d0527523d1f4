"""Formats of Wyoming audio, and the addresses of services."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_daemon.sources.wav_stream import PcmFormat
from ser_daemon.sources.wyoming_audio import WyomingDecoder, read_format
from ser_daemon.sources.wyoming_uri import TcpAddress, UnixAddress, parse_uri
from ser_model.audio.files import Resampler
from ser_model.errors import SerError

SAMPLES = np.random.default_rng(0).integers(-20_000, 20_000, 4_000).astype(np.int16)


def decoded(rate: int, width: int, channels: int, data: bytes, piece: int = 1 << 20) -> np.ndarray:
    """Return the samples of a stream that comes in pieces."""
    decoder = WyomingDecoder(read_format("audio-start", {"rate": rate, "width": width, "channels": channels}))
    pieces = [decoder.push(data[start : start + piece]) for start in range(0, len(data), piece)]
    return np.concatenate([*pieces, decoder.flush()])


def test_sixteen_bit_mono_at_16_khz_passes_unchanged() -> None:
    assert np.array_equal(decoded(16_000, 2, 1, SAMPLES.tobytes()), SAMPLES)


@pytest.mark.parametrize(
    ("width", "data"),
    [
        (1, ((SAMPLES.astype(np.int32) >> 8) + 128).astype(np.uint8).tobytes()),
        (3, (SAMPLES.astype("<i4") << 8).view(np.uint8).reshape(-1, 4)[:, :3].tobytes()),
        (4, (SAMPLES.astype("<i4") << 16).tobytes()),
    ],
)
def test_other_widths_are_converted(width: int, data: bytes) -> None:
    assert np.abs(decoded(16_000, width, 1, data).astype(int) - SAMPLES).max() <= (256 if width == 1 else 0)


def test_channels_are_averaged() -> None:
    stereo = np.stack([SAMPLES, -SAMPLES], axis=1)
    assert np.abs(decoded(16_000, 2, 2, stereo.tobytes())).max() == 0


@settings(deadline=None, max_examples=25)
@given(st.sampled_from([8_000, 22_050, 44_100, 48_000]), st.integers(1, 3_000))
def test_other_rates_are_resampled_as_a_file_is_whatever_the_pieces(rate: int, piece: int) -> None:
    resampler = Resampler(rate)
    whole = np.concatenate([resampler.push(SAMPLES), resampler.flush()])
    assert np.array_equal(decoded(rate, 2, 1, SAMPLES.tobytes(), piece), whole)


@pytest.mark.parametrize(
    ("data", "payload", "sentence"),
    [
        ({}, 0, "audio-chunk: rate is None, expected a whole number; see Wyoming's AudioStart."),
        ({"rate": "16k", "width": 2, "channels": 1}, 0, "audio-chunk: rate is '16k', expected a whole number"),
        ({"rate": True, "width": 2, "channels": 1}, 0, "audio-chunk: rate is True, expected a whole number"),
        ({"rate": 16_000, "width": 8, "channels": 1}, 0, "audio-chunk: width is 8 bytes, expected 1 (unsigned), 2"),
        ({"rate": 16_000, "width": 2, "channels": -1}, 0, "audio-chunk: channels is -1, expected a whole number"),
        ({"rate": 16_000, "width": 2, "channels": 2}, 6, "audio-chunk: its payload of 6 bytes ends within a frame"),
        ({"rate": 16_000, "width": 2, "channels": 0}, 6, "The audio cannot be used: it has 0 channels"),
        ({"rate": 16_000, "width": 2, "channels": 65}, 0, "The audio cannot be used: it has 65 channels"),
        ({"rate": 10**30, "width": 2, "channels": 1}, 0, "The audio cannot be used: its sample rate is 1e+30 Hz"),
        ({"rate": 10**400, "width": 2, "channels": 1}, 0, "The audio cannot be used: its sample rate is beyond any"),
        ({"rate": 384_000, "width": 2, "channels": 64}, 0, "The audio cannot be used: it has 64 channels at 384000 Hz"),
        ({"rate": 0, "width": 2, "channels": 1}, 0, "The audio cannot be used: its sample rate is 0 Hz"),
    ],
)
def test_a_format_that_cannot_be_used_gets_one_sentence(data: dict[str, object], payload: int, sentence: str) -> None:
    with pytest.raises(SerError) as raised:
        WyomingDecoder(read_format("audio-chunk", data, payload))
    assert str(raised.value).startswith(sentence)


def test_a_channel_can_be_chosen() -> None:
    stereo = np.stack([SAMPLES, -SAMPLES], axis=1)
    assert np.array_equal(WyomingDecoder(PcmFormat(16_000, 2, "s16le"), 1).push(stereo.tobytes()), SAMPLES)


def test_addresses_are_parsed() -> None:
    assert parse_uri("tcp://hall.local:10600") == TcpAddress("hall.local", 10_600)
    assert parse_uri("tcp://[::1]:10600/") == TcpAddress("::1", 10_600)
    assert parse_uri("unix:///run/mic.sock") == UnixAddress("/run/mic.sock")


@pytest.mark.parametrize(
    "uri",
    [
        *("", "hall.local:10600", "tcp://hall.local", "tcp://:1", "tcp://a:b", "tcp://a:99999", "tcp://[a:1"),
        *("tcp://a:1/b", "unix://run/mic.sock", "unix://", "udp://a:1", "unix:///" + "x" * 200),
    ],
)
def test_what_is_no_address_gets_one_sentence(uri: str) -> None:
    with pytest.raises(SerError, match=r"expected tcp://HOST:PORT or unix:///PATH|Linux allows 107"):
        parse_uri(uri)
