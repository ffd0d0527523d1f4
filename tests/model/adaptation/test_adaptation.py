"""Adaptation is slow and bounded, starts without an offset, and changes it between utterances only."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ser_model import Model, Recognizer
from ser_model.adaptation.adaptation import (
    Adaptation,
    AdaptationError,
    AdaptationStrength,
    Statistics,
    model_version,
)
from ser_model.adaptation.speaker_offset import NO_OFFSET
from ser_model.config import DecisionConfig
from ser_model.errors import SerError
from ser_model.features.features import HOP, SIZE, compute_features
from ser_model.labels import LABELS
from ser_model.network.metadata import ModelMetadata
from ser_model.recognizer import Analyzer
from ser_model.scoring.logit_bias import logit_bias
from ser_model.types import SAMPLE_RATE, EmotionResult, SpeechAudio, SpeechEnded, SpeechStarted
from support.speech import synthetic_speech

STRENGTH = AdaptationStrength(
    prior_seconds=100.0, logit_prior_seconds=50.0, memory_seconds=400.0, bound=0.5, logit_bound=1.0
)

ZERO = np.zeros(len(LABELS), dtype=np.float32)


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.load()


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return synthetic_speech()


def mean_at(model: Model, away: float) -> np.ndarray:
    """A mean of frames, `away` standard deviations from the training mean."""
    return np.array(model.metadata.mean) + away * np.array(model.metadata.std)


def learn(adaptation: Adaptation, mean: np.ndarray, seconds: float, logits: np.ndarray = ZERO) -> float:
    """Learn one utterance; return its exact length in seconds."""
    count = round(seconds * SAMPLE_RATE / HOP)
    adaptation.learn(mean * count, count, logits)
    return count * HOP / SAMPLE_RATE


def test_without_speech_there_is_no_offset(model: Model) -> None:
    assert Adaptation(model.metadata).offset is NO_OFFSET
    frames = np.random.default_rng(1).normal(size=(7, SIZE)).astype(np.float32)
    np.testing.assert_array_equal(NO_OFFSET.apply_to_frames(frames), frames)
    assert NO_OFFSET.name == "none"


def test_a_network_without_class_mean_logits_cannot_be_adapted(model: Model) -> None:
    with pytest.raises(SerError, match=r"reslstm-sa-h64 can't be adapted.*ser-calibrate adaptation") as caught:
        Adaptation(replace(model.metadata, typical_logits=None))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seconds", [1.0, 30.0, 100.0, 300.0])
def test_the_offset_is_the_posterior_mean(model: Model, seconds: float) -> None:
    adaptation = Adaptation(model.metadata, strength=STRENGTH)
    logits = np.array([1, -1, 0, 0, 0, 0, 0, 0], dtype=np.float32)
    length = learn(adaptation, mean_at(model, 0.4), seconds, logits + 3)
    expected = 0.4 * np.array(model.metadata.std) * length / (length + 100)
    np.testing.assert_allclose(adaptation.offset.features, expected, rtol=1e-4)
    # Only the bias moves the logits, not what the utterance expresses.
    bias = logit_bias(logits, logits, np.array(model.metadata.typical_logits))
    np.testing.assert_allclose(adaptation.offset.logits, bias * length / (length + 50), atol=1e-6)
    assert adaptation.offset.name == "running"


def test_frames_are_moved_towards_the_network(model: Model) -> None:
    adaptation = Adaptation(model.metadata, strength=STRENGTH)
    for _ in range(10):
        learn(adaptation, mean_at(model, 0.3), 30)
    std = np.array(model.metadata.std)
    moved = adaptation.offset.apply_to_frames(mean_at(model, 0.3)[None].astype(np.float32))
    away = (moved[0] - np.array(model.metadata.mean)) / std
    assert np.all(away > 0)
    assert np.all(away < 0.1)


@pytest.mark.parametrize("away", [-1000.0, -3.0, 3.0, 1000.0])
def test_no_offset_passes_its_bound(model: Model, away: float) -> None:
    adaptation = Adaptation(model.metadata, strength=STRENGTH)
    for _ in range(40):
        learn(adaptation, mean_at(model, away), 30, np.eye(len(LABELS), dtype=np.float32)[4] * 100)
    np.testing.assert_allclose(np.abs(adaptation.offset.features), 0.5 * np.array(model.metadata.std), rtol=1e-4)
    assert np.abs(adaptation.offset.logits).max() == 1.0


def plain(model: Model) -> ModelMetadata:
    """The shipped metadata, with class-mean logits of 3 for the answer."""
    rows = 3 * np.eye(len(LABELS)) - 3 / len(LABELS)
    return replace(model.metadata, typical_logits=tuple(map(tuple, rows.tolist())))


def test_one_utterance_moves_little(model: Model) -> None:
    adaptation = Adaptation(plain(model))
    learn(adaptation, mean_at(model, 1.0), 2.0, np.eye(len(LABELS), dtype=np.float32)[4] * 5)
    assert np.all(adaptation.offset.features == 0)
    assert 0 < np.abs(adaptation.offset.logits).max() < 0.15


def one_emotion(strength: float, bias: np.ndarray, label: int) -> np.ndarray:
    """Logits of an utterance that clearly expresses a label, by a network with a bias."""
    return (np.eye(len(LABELS))[label] * strength + bias).astype(np.float32)


@pytest.mark.parametrize("label", range(len(LABELS)))
def test_an_hour_of_one_emotion_does_not_shift_the_baseline(model: Model, label: int) -> None:
    adaptation = Adaptation(model.metadata)
    for _ in range(360):
        learn(adaptation, mean_at(model, 0.0), 10, one_emotion(4.0, np.zeros(8), label))
    adapted = adaptation.offset.apply_to_logits(one_emotion(4.0, np.zeros(8), label))
    assert int(adapted.argmax()) == label
    assert np.abs(adaptation.offset.logits).max() < 0.401


def test_the_bias_of_the_network_with_a_voice_is_subtracted(model: Model) -> None:
    bias = np.array([0, 0, 0.6, 0, 0, 0, 0, -0.6])
    adaptation = Adaptation(plain(model))
    for turn in range(200):
        learn(adaptation, mean_at(model, 0.0), 3, one_emotion(3.0, bias, turn % 8))
    unbiased = Adaptation(plain(model))
    for turn in range(200):
        learn(unbiased, mean_at(model, 0.0), 3, one_emotion(3.0, np.zeros(8), turn % 8))
    difference = adaptation.offset.logits - unbiased.offset.logits
    assert difference[2] > 0.2
    assert difference[7] < -0.2
    assert np.abs(difference[[0, 1, 3, 4, 5, 6]]).max() < 0.15


def test_another_voice_is_followed_after_much_speech(model: Model) -> None:
    adaptation = Adaptation(model.metadata, strength=STRENGTH)
    for _ in range(1000):
        learn(adaptation, mean_at(model, 0.4), 10)
    assert adaptation.statistics is not None
    assert adaptation.statistics.seconds == pytest.approx(400)
    for _ in range(80):
        learn(adaptation, mean_at(model, -0.4), 10)
    assert np.all(adaptation.offset.features < 0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_not_learnt(model: Model, bad: float) -> None:
    adaptation = Adaptation(model.metadata)
    adaptation.learn(np.full(SIZE, bad), 10, ZERO)
    adaptation.learn(np.zeros(SIZE), 10, np.full(8, bad, dtype=np.float32))
    adaptation.learn(np.zeros(SIZE), 0, ZERO)
    assert adaptation.offset is NO_OFFSET


def test_a_reset_removes_the_offset(model: Model) -> None:
    running = Adaptation(model.metadata)
    learn(running, mean_at(model, 1.0), 30)
    assert running.statistics is not None
    running.reset()
    assert running.offset is NO_OFFSET
    assert running.statistics is None


def test_a_fixed_profile_does_not_change(model: Model) -> None:
    profile = Statistics(45.0, mean_at(model, 0.3), np.linspace(-0.4, 0.4, 8), "one")
    adaptation = Adaptation(model.metadata, profile=profile, fixed=True)
    before = adaptation.offset
    assert before.name == "profile"
    learn(adaptation, mean_at(model, -1.0), 30)
    assert adaptation.offset is before
    adaptation.reset()
    assert adaptation.statistics is profile


def test_learning_continues_from_a_profile_and_a_reset_goes_back_to_it(model: Model) -> None:
    profile = Statistics(45.0, mean_at(model, 0.3), np.linspace(-0.4, 0.4, 8), "one")
    adaptation = Adaptation(model.metadata, strength=STRENGTH, profile=profile)
    at_first = adaptation.offset
    same = Adaptation(model.metadata, profile, STRENGTH).offset
    np.testing.assert_array_equal(at_first.logits, same.logits)
    np.testing.assert_array_equal(at_first.features, same.features)
    length = learn(adaptation, mean_at(model, -0.3), 45)
    learnt = adaptation.statistics
    assert learnt is not None
    # The profile counts like speech just before.
    assert (learnt.seconds, learnt.profile) == (45 + length, "one")
    np.testing.assert_allclose(learnt.features, mean_at(model, 0.0), atol=1e-2)
    assert adaptation.offset.name == "profile"
    # After a restart learning continues from there, and a reset still finds the profile.
    again = Adaptation(
        model.metadata,
        Statistics.from_data(learnt.to_data(adaptation.model), model.metadata),
        STRENGTH,
        profile=profile,
    )
    assert again.statistics is not None
    assert (again.statistics.profile, again.offset.name) == ("one", "profile")
    np.testing.assert_allclose(again.offset.logits, adaptation.offset.logits, atol=1e-5)
    again.reset()
    assert again.statistics is profile
    np.testing.assert_array_equal(again.offset.logits, at_first.logits)


def test_statistics_survive_as_plain_data(model: Model) -> None:
    adaptation = Adaptation(model.metadata)
    learn(adaptation, mean_at(model, 0.3), 30, np.arange(8, dtype=np.float32))
    assert adaptation.statistics is not None
    text = json.dumps(adaptation.statistics.to_data(adaptation.model))
    # Numbers and the name of the network; no label, no audio.
    assert not any(label in text for label in LABELS)
    assert len(text) < 2_000
    again = Adaptation(model.metadata, Statistics.from_data(json.loads(text), model.metadata))
    np.testing.assert_allclose(again.offset.features, adaptation.offset.features, atol=1e-4)
    np.testing.assert_allclose(again.offset.logits, adaptation.offset.logits, atol=1e-5)


def edited(model: Model, **changes: Any) -> dict[str, Any]:
    data = Statistics(60.0, mean_at(model, 0.1), np.zeros(8)).to_data(model_version(model.metadata))
    return {**data, **changes}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": 2}, ["has format 2", "reads 1"]),
        ({"format": "1"}, ["has format '1'"]),
        ({"seconds": 0}, ["0 seconds", "more than 0"]),
        ({"seconds": True}, ["damaged", "seconds"]),
        ({"seconds": None}, ["damaged", "seconds"]),
        ({"seconds": 10**400}, ["damaged", "seconds"]),
        ({"features": [0.0] * 45}, ["damaged", "features", "46"]),
        ({"features": "x" * 46}, ["damaged", "features"]),
        ({"features": [float("nan")] * SIZE}, ["damaged", "features"]),
        ({"features": [1e6] * SIZE}, ["would move feature", "standard deviations", "at most 5"]),
        ({"logits": [None] * 8}, ["damaged", "logits"]),
        ({"logits": [50.0] + [0.0] * 7}, ["would move a logit by 50.0", "at most 20"]),
    ],
)
def test_edited_statistics_are_refused_with_the_reason(model: Model, changes: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(AdaptationError) as caught:
        Statistics.from_data(edited(model, **changes), model.metadata)
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize("data", [None, 1, "x", [], [1, 2]])
def test_other_data_are_no_adaptation(model: Model, data: object) -> None:
    with pytest.raises(AdaptationError, match="holds no adaptation"):
        Statistics.from_data(data, model.metadata)


def test_statistics_of_another_network_are_refused_and_both_are_named(model: Model) -> None:
    assert model_version(replace(model.metadata, typical_logits=None)) != model_version(model.metadata)
    other = replace(model.metadata, mean=tuple(value + 1 for value in model.metadata.mean))
    assert model_version(other) != model_version(model.metadata)
    with pytest.raises(AdaptationError) as caught:
        Statistics.from_data(edited(model), other)
    assert model_version(other) in str(caught.value)
    assert model_version(model.metadata) in str(caught.value)


def utterance(
    analyzer: Analyzer, number: int, samples: np.ndarray, before_audio: Callable[[], None] = lambda: None
) -> list[EmotionResult]:
    results = analyzer.push(SpeechStarted(number, 0))
    for at in range(0, len(samples), 4096):
        before_audio()
        results = [*results, *analyzer.push(SpeechAudio(number, samples[at : at + 4096], at, at + 4096))]
    results = [*results, *analyzer.push(SpeechEnded(number, len(samples), len(samples), "silence"))]
    return [result for result in results if isinstance(result, EmotionResult)]


def test_an_utterance_keeps_the_offset_that_it_started_with(model: Model) -> None:
    noise = (3000 * np.random.default_rng(2).standard_normal(40_000)).astype(np.int16)
    decision = DecisionConfig(min_voiced_ms=0, unknown_below=0.0, unlike_speech=False)
    adaptation = Adaptation(model.metadata, Statistics(100.0, mean_at(model, 0.3), np.linspace(-0.5, 0.5, 8)))
    profile = Statistics(100.0, mean_at(model, 0.3), np.linspace(-0.5, 0.5, 8))
    fixed = Adaptation(model.metadata, profile=profile, fixed=True)

    plain, moved = (utterance(Analyzer(model, decision, one), 1, noise) for one in (None, fixed))
    reset_within = utterance(Analyzer(model, decision, adaptation), 1, noise, adaptation.reset)
    assert adaptation.statistics is not None
    assert adaptation.statistics.seconds < 100, "the reset has happened"
    assert {emotion.adaptation for emotion in reset_within} == {"running"}
    assert [emotion.scores for emotion in reset_within] == [emotion.scores for emotion in moved]
    assert reset_within[-1].scores != plain[-1].scores
    assert {emotion.adaptation for emotion in plain} == {"none"}


def test_an_utterance_influences_the_next_one_first(model: Model) -> None:
    noise = (3000 * np.random.default_rng(2).standard_normal(40_000)).astype(np.int16)
    adaptation = Adaptation(model.metadata)
    analyzer = Analyzer(model, DecisionConfig(min_voiced_ms=0, unlike_speech=False), adaptation)
    first = utterance(analyzer, 1, noise)
    assert adaptation.statistics is not None
    np.testing.assert_allclose(
        adaptation.statistics.features, np.clip(compute_features(noise).mean(axis=0), -1e9, 1e9), rtol=1e-3, atol=1e-2
    )
    second = utterance(analyzer, 2, noise)
    assert ({one.adaptation for one in first}, {one.adaptation for one in second}) == ({"none"}, {"running"})
    assert first[-1].scores != second[-1].scores


def test_too_little_voice_is_not_learnt(model: Model) -> None:
    adaptation = Adaptation(model.metadata)
    utterance(Analyzer(model, DecisionConfig(min_voiced_ms=5000), adaptation), 1, np.zeros(40_000, dtype=np.int16))
    assert adaptation.offset is NO_OFFSET


def test_the_size_of_the_blocks_does_not_change_the_offset(model: Model, speech: np.ndarray) -> None:
    offsets = []
    for size in (700, 16_000):
        adaptation = Adaptation(model.metadata)
        recognizer = Recognizer(model, adaptation=adaptation)
        for at in range(0, len(speech), size):
            recognizer.push(speech[at : at + size])
        recognizer.finish()
        offsets.append(adaptation.offset)
    assert offsets[0].name == "running"
    np.testing.assert_allclose(offsets[0].features, offsets[1].features, atol=1e-3)
    np.testing.assert_allclose(offsets[0].logits, offsets[1].logits, atol=1e-3)
