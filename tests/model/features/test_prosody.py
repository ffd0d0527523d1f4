"""Prosodic features of simple sounds have the expected values."""

from __future__ import annotations

import numpy as np
import pytest

from ser_model.features.features import COLUMNS, compute_features

RATE = 16_000
TIME = np.arange(2 * RATE) / RATE


def voice(f0: float | np.ndarray, tilt: float = 1.0) -> np.ndarray:
    """A buzz whose harmonics decrease with their number to the power of `tilt`."""
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(f0, TIME.shape)) / RATE
    harmonics = [np.sin(number * phase) / number**tilt for number in range(1, 18)]
    return (3000 * np.sum(harmonics, axis=0)).clip(-32768, 32767).astype(np.int16)


def noise(seed: int = 0) -> np.ndarray:
    return (2000 * np.random.default_rng(seed).standard_normal(len(TIME))).astype(np.int16)


def column(samples: np.ndarray, name: str) -> np.ndarray:
    """A feature over the frames that lie completely within the sound."""
    return compute_features(samples)[1:-2, COLUMNS.index(name)]


@pytest.mark.parametrize("f0", [70, 110, 174, 233.3, 311, 420, 600])
def test_pitch_of_a_buzz_is_found(f0: float) -> None:
    found = 100 * 2 ** column(voice(f0), "f0")
    np.testing.assert_allclose(found, f0, rtol=0.02)


def test_a_buzz_is_voiced_and_noise_is_not() -> None:
    assert column(voice(150), "voicing").min() > 0.9
    assert column(noise(), "voicing").max() < 0.5
    assert column(voice(150), "harmonicity").min() > column(noise(), "harmonicity").max()


def test_pitch_is_held_through_noise_and_relative_to_its_mean() -> None:
    samples = np.concatenate((voice(200), noise()))
    held = column(samples, "f0")
    np.testing.assert_allclose(100 * 2 ** held[-15:], 200, rtol=0.03)
    rising = column(voice(np.linspace(120, 240, len(TIME))), "f0-relative")
    assert rising[-1] > 0.3
    assert abs(column(voice(150), "f0-relative")).max() < 0.02


def test_rising_pitch_has_a_positive_change() -> None:
    assert column(voice(np.linspace(120, 240, len(TIME))), "f0-delta")[2:].mean() == pytest.approx(
        HOP_OCTAVES, rel=0.25
    )


HOP_OCTAVES = np.log2(240 / 120) / (len(TIME) / 683)
"""Mean change per frame in a glide over one octave."""


@pytest.mark.parametrize("name", ["centroid", "rolloff", "alpha-ratio", "flatness"])
def test_bright_sounds_have_higher_values_than_dark_ones(name: str) -> None:
    assert column(voice(150, tilt=0.3), name).mean() > column(voice(150, tilt=2.0), name).mean()


@pytest.mark.parametrize("name", ["hammarberg", "h1-h2"])
def test_dark_sounds_have_higher_values_than_bright_ones(name: str) -> None:
    assert column(voice(150, tilt=2.0), name).mean() > column(voice(150, tilt=0.3), name).mean()


def test_energy_is_relative_to_the_utterance_so_far() -> None:
    samples = np.concatenate((voice(150) // 10, voice(150)))
    relative = column(samples, "energy-relative")
    assert abs(relative[:40]).max() < 0.2
    assert relative[50] > 3
    assert column(samples, "energy-delta").argmax() in range(43, 48)
