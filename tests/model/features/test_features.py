"""Live features equal the reference implementation, for any size of the pieces."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_model.features import features
from ser_model.features.features import FRAME, HOP, MFCC, Features, compute_features

RNG = np.random.default_rng(3)
SPEECH_LIKE = (3000 * np.sin(np.cumsum(RNG.uniform(0.02, 0.3, 50_000))) + 200 * RNG.standard_normal(50_000)).astype(
    np.int16
)


def reference_mfcc(samples: np.ndarray) -> np.ndarray:
    psf = pytest.importorskip("python_speech_features", reason="the train extra defines the reference")
    return psf.mfcc(samples.astype(np.float64), 16000, FRAME / 16000, HOP / 16000, MFCC, 40, 2048, winfunc=np.hamming)


def expected_cepstra(samples: np.ndarray) -> np.ndarray:
    """Log energy, relative MFCC and MFCC deltas, from the reference over the whole utterance."""
    mfcc = reference_mfcc(samples)
    signal = samples.astype(np.float64)
    emphasised = np.concatenate((signal[:1], signal[1:] - 0.97 * signal[:-1], np.zeros(FRAME)))
    frames = np.lib.stride_tricks.sliding_window_view(emphasised, FRAME)[::HOP][: len(mfcc)] * np.hamming(FRAME)
    power = np.abs(np.fft.rfft(frames, 2048)) ** 2 / 2048
    first = np.log(np.maximum(power @ features.mel_filters().T, np.finfo(float).eps)) @ features.cepstrum_matrix()[0]
    cepstra = np.column_stack((first, mfcc[:, 1:]))
    relative = cepstra - np.cumsum(cepstra, axis=0) / np.arange(1, len(cepstra) + 1)[:, None]
    delta = np.diff(cepstra, axis=0, prepend=cepstra[:1])
    return np.column_stack((mfcc[:, 0], relative[:, 1:], delta))


@pytest.mark.parametrize("length", [1, 682, 683, 1364, 1365, 1366, 2047, 2048, 2049, 16000, 50_000])
def test_cepstra_equal_python_speech_features(length: int) -> None:
    expected = expected_cepstra(SPEECH_LIKE[:length])
    exact = Features(np.float64)
    got = np.concatenate((exact.push(SPEECH_LIKE[:length]), exact.flush()))
    assert got.shape == (len(expected), 46)
    np.testing.assert_allclose(got[:, :26], expected, atol=1e-6)
    single = compute_features(SPEECH_LIKE[:length])
    assert single.dtype == np.float32
    np.testing.assert_allclose(single[:, :26], expected, atol=1e-3)


def test_digital_silence_is_finite() -> None:
    zeros = np.zeros(5000, dtype=np.int16)
    assert np.isfinite(compute_features(zeros)).all()
    np.testing.assert_allclose(compute_features(zeros)[:, :26], expected_cepstra(zeros), atol=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 6000), max_size=12), st.integers(0, 20_000))
def test_pieces_of_any_size_give_the_same_frames(cuts: list[int], length: int) -> None:
    samples = SPEECH_LIKE[:length]
    live = Features()
    edges = [0, *np.minimum(np.cumsum(cuts), length), length] if cuts else [0, length]
    pieces = [live.push(samples[a:b]) for a, b in itertools.pairwise(edges)]
    got = np.concatenate([*pieces, live.flush()])
    np.testing.assert_allclose(got, compute_features(samples), atol=1e-3)


def test_no_samples_give_no_frames() -> None:
    assert compute_features(np.zeros(0, dtype=np.int16)).shape == (0, 46)


def test_flush_starts_a_new_utterance() -> None:
    live = Features()
    live.push(SPEECH_LIKE[:7000])
    live.flush()
    again = np.concatenate((live.push(SPEECH_LIKE[:7000]), live.flush()))
    np.testing.assert_array_equal(again, compute_features(SPEECH_LIKE[:7000]))


def test_another_level_changes_the_log_energy_alone() -> None:
    loud, soft = (compute_features((SPEECH_LIKE * factor).astype(np.int16)) for factor in (1.0, 0.25))
    expected = np.zeros(46)
    expected[features.LOG_ENERGY] = np.log(16)
    np.testing.assert_allclose((loud - soft).mean(axis=0), expected, atol=0.02)


def test_every_column_has_its_own_name() -> None:
    assert len(set(features.COLUMNS)) == features.SIZE == 46
    assert features.COLUMNS[features.LOG_ENERGY] == "log-energy"
