"""Channels that a variant is sent over: length, delay and band."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from ser_model.training.data.augment import AcousticEnvironment, AugmentConfig, augment, murmur
from ser_model.training.data.transmission import Transmission, transmit
from ser_model.types import SAMPLE_RATE


def two_tones() -> np.ndarray:
    """A tone within the band of a telephone, and one above it."""
    time = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    return (0.2 * np.sin(2 * np.pi * 1_000 * time) + 0.2 * np.sin(2 * np.pi * 5_500 * time)).astype(np.float32)


def level_at(wave: np.ndarray, hertz: float) -> float:
    """Amplitude of a tone in dB relative to full scale."""
    time = np.arange(len(wave)) / SAMPLE_RATE
    return float(20 * np.log10(2 * abs(np.mean(wave * np.exp(-2j * np.pi * hertz * time))) + 1e-9))


@pytest.mark.parametrize("way", get_args(Transmission))
def test_a_channel_keeps_length_and_level_and_limits_the_band(way: Transmission) -> None:
    wave = two_tones()
    sent = transmit(wave, way, np.random.default_rng(1))
    assert sent.shape == wave.shape
    assert sent.dtype == np.float32
    assert abs(level_at(sent, 1_000) - level_at(wave, 1_000)) < 2
    loss = level_at(wave, 5_500) - level_at(sent, 5_500)
    assert loss < 3 if way == "opus" else loss > 25


def test_each_kind_of_channel_is_drawn() -> None:
    speech = (two_tones() * 20_000).astype(np.int16)
    for way in get_args(Transmission):
        config = AugmentConfig(speed=0.0, noise_share=0.0, transmissions={way: 1.0})
        sent = augment(speech, config, AcousticEnvironment(), np.random.default_rng(0))
        plain = augment(
            speech,
            AugmentConfig(speed=0.0, noise_share=0.0, transmissions={}),
            AcousticEnvironment(),
            np.random.default_rng(0),
        )
        assert not np.array_equal(sent, plain)


def test_voices_behind_the_speech_have_the_ratio_asked_for() -> None:
    rng = np.random.default_rng(3)
    speech = (two_tones() * 20_000).astype(np.int16)
    other = (rng.normal(0, 2_000, 20_000)).astype(np.int16)
    config = AugmentConfig(speed=0.0, noise_share=0.0, transmissions={}, voices_share=1.0, voices_snr_db=(20.0, 20.0))
    mixed = augment(speech, config, AcousticEnvironment(), rng, [other, other])
    added = (mixed.astype(float) - speech) / 32768
    assert 15 < 20 * np.log10(np.std(speech / 32768) / np.std(added)) < 21
    assert np.array_equal(augment(speech, config, AcousticEnvironment(), rng), speech)


def test_short_recordings_are_repeated_for_the_voices() -> None:
    rng = np.random.default_rng(4)
    voices = [np.full(400, 1_000, dtype=np.int16), np.zeros(300, dtype=np.int16)]
    assert murmur(voices, 5_000, rng).shape == (5_000,)
