"""Segmentation of recordings: the utterances that count, voiced samples, and padding with noise."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the train extra is not installed")

from ser_model.config import GateConfig
from ser_model.training.data.acoustic_conditions import Condition, apply
from ser_model.training.data.augment import AcousticEnvironment
from ser_model.training.data.dataset import extract_frames
from ser_model.training.data.segmentation import (
    PADDING,
    Segmentation,
    pad_with_room_noise,
    segment,
    segment_clean,
    speech_extent,
)
from ser_model.types import SAMPLE_RATE, Samples
from support import speech


@pytest.fixture(scope="module")
def sentence() -> Samples:
    return speech.sentence()


def test_the_extent_of_speech_is_its_loud_part() -> None:
    samples = np.zeros(SAMPLE_RATE, dtype=np.int16)
    samples[4000:8000] = 1000
    samples[9000:9100] = 20
    assert speech_extent(samples) == (PADDING + 4000, PADDING + 8000)


def test_a_recording_is_padded_by_a_second_of_room_noise_on_each_side(sentence: Samples) -> None:
    whole = pad_with_room_noise(sentence)
    assert np.array_equal(whole[PADDING:-PADDING], sentence)
    assert len(whole) == len(sentence) + 2 * PADDING
    assert np.abs(whole[:PADDING]).mean() < np.abs(sentence).mean() / 10
    assert segment_clean(sentence).utterances == 1


def test_an_utterance_outside_the_speech_does_not_count(sentence: Samples) -> None:
    pause = np.random.default_rng(0).normal(0, 3, 2 * SAMPLE_RATE).astype(np.int16)
    both = np.concatenate((pause, sentence, pause, sentence, pause))
    second = 2 * len(pause) + len(sentence)
    one = segment(both, GateConfig(), (second, second + len(sentence)))
    assert (one.utterances, one.outside) == (1, 1)
    assert 0.5 < len(one.samples) / len(sentence) < 2
    every = segment(both, GateConfig())
    assert (every.utterances, every.outside) == (2, 0)
    assert len(every.samples) > second - len(pause)
    nothing = segment(pause, GateConfig())
    assert (len(nothing.samples), nothing.utterances, nothing.voiced) == (0, 0, 0)
    assert extract_frames(nothing).frames == []


def test_voiced_samples_grow_frame_by_frame_to_the_count_of_the_gate(sentence: Samples) -> None:
    segmented = segment_clean(sentence)
    voiced = extract_frames(segmented).voiced
    assert len(voiced) == len(extract_frames(segmented).frames[0])
    assert (np.diff(voiced) >= 0).all()
    assert voiced[0] < voiced[-1] == segmented.voiced


def test_joined_utterances_are_one_with_the_sum_of_voiced_samples(sentence: Samples) -> None:
    one = segment_clean(sentence)
    two = Segmentation.join([one, one])
    assert len(two.samples) == 2 * len(one.samples)
    assert (two.utterances, two.voiced) == (1, 2 * one.voiced)
    places = np.arange(0, len(one.samples), 1000)
    np.testing.assert_array_equal(two.voiced_after(places), one.voiced_after(places))
    np.testing.assert_array_equal(
        two.voiced_after(len(one.samples) + places[1:]), one.voiced + one.voiced_after(places[1:])
    )


def test_noise_covers_the_padding_at_the_same_ratio(sentence: Samples) -> None:
    hiss = AcousticEnvironment([np.random.default_rng(0).standard_normal(50_000).astype(np.float32)])
    clean, loud, louder = (
        apply(Condition(name="a", title="", snr_db=ratio), sentence, hiss, "a").astype(float)
        for ratio in (None, 10.0, 0.0)
    )
    assert np.array_equal(clean, pad_with_room_noise(sentence))
    before = slice(0, PADDING)
    under = loud - clean
    assert np.std(under[before]) == pytest.approx(np.std(under[PADDING:]), rel=0.05)
    assert np.std((louder - clean)[before]) / np.std(under[before]) == pytest.approx(10**0.5, rel=0.02)
    power = np.square(sentence / 32768)
    speech = np.sqrt(power[power > power.mean()].mean())
    assert 20 * np.log10(speech * 32768 / np.std(under)) == pytest.approx(10, abs=0.3)
