"""Adaptation: slow, bounded, the identity at first; one map from an utterance's first frame to its last."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files
from typing import Any

import numpy as np
import pytest

from ser_model import Model, Recognizer, read_audio
from ser_model.adaptation.adaptation import (
    Adaptation,
    AdaptationError,
    AdaptationStrength,
    Statistics,
    model_version,
)
from ser_model.adaptation.speaker_offset import IDENTITY
from ser_model.config import DecisionConfig
from ser_model.errors import SerError
from ser_model.features.features import HOP, SIZE, compute_features
from ser_model.labels import LABELS
from ser_model.recognizer import Analyzer
from ser_model.scoring.logit_bias import logit_bias
from ser_model.types import SAMPLE_RATE, EmotionResult, SpeechAudio, SpeechEnded, SpeechStarted

STRENGTH = AdaptationStrength(
    prior_seconds=100.0, logit_prior_seconds=50.0, memory_seconds=400.0, bound=0.5, logit_bound=1.0
)
ZERO = np.zeros(len(LABELS), dtype=np.float32)


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.load()


@pytest.fixture(scope="module")
def demo() -> np.ndarray:
    return read_audio(str(files("ser_daemon").joinpath("data", "demo.flac")))


def heard(model: Model, away: float) -> np.ndarray:
    """Mean of frames that lie so many standard deviations from the network's."""
    return np.array(model.metadata.mean) + away * np.array(model.metadata.std)


def learn(adaptation: Adaptation, mean: np.ndarray, seconds: float, logits: np.ndarray = ZERO) -> float:
    """Take one utterance; return its exact length in seconds."""
    count = round(seconds * SAMPLE_RATE / HOP)
    adaptation.learn(mean * count, count, logits)
    return count * HOP / SAMPLE_RATE


def test_nothing_heard_changes_nothing(model: Model) -> None:
    assert Adaptation(model.metadata).map is IDENTITY
    frames = np.random.default_rng(1).normal(size=(7, SIZE)).astype(np.float32)
    np.testing.assert_array_equal(IDENTITY.frames(frames), frames)
    assert IDENTITY.name == "none"


def test_a_network_that_does_not_say_what_is_typical_cannot_be_adapted(model: Model) -> None:
    with pytest.raises(SerError, match=r"reslstm-sa-h64 can't be adapted.*ser-calibrate adaptation") as caught:
        Adaptation(replace(model.metadata, typical_logits=None))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seconds", [1.0, 30.0, 100.0, 300.0])
def test_the_offset_is_the_posterior_mean(model: Model, seconds: float) -> None:
    adaptation = Adaptation(model.metadata, strength=STRENGTH)
    logits = np.array([1, -1, 0, 0, 0, 0, 0, 0], dtype=np.float32)
    length = learn(adaptation, heard(model, 0.4), seconds, logits + 3)
    expected = 0.4 * np.array(model.metadata.std) * length / (length + 100)
    np.testing.assert_allclose(adaptation.map.features, expected, rtol=1e-4)
    # What the utterance expressed is not the voice's: only what is left without it moves the logits.
    left = logit_bias(logits, logits, np.array(model.metadata.typical_logits))
    np.testing.assert_allclose(adaptation.map.logits, left * length / (length + 50), atol=1e-6)
    assert adaptation.map.name == "running"


def test_frames_are_moved_towards_the_network(model: Model) -> None:
    adaptation = Adaptation(model.metadata, strength=STRENGTH)
    for _ in range(10):
        learn(adaptation, heard(model, 0.3), 30)
    std = np.array(model.metadata.std)
    moved = adaptation.map.frames(heard(model, 0.3)[None].astype(np.float32))
    away = (moved[0] - np.array(model.metadata.mean)) / std
    assert np.all(away > 0)
    assert np.all(away < 0.1)


@pytest.mark.parametrize("away", [-1000.0, -3.0, 3.0, 1000.0])
def test_no_offset_passes_its_bound(model: Model, away: float) -> None:
    adaptation = Adaptation(model.metadata, strength=STRENGTH)
    for _ in range(40):
        learn(adaptation, heard(model, away), 30, np.eye(len(LABELS), dtype=np.float32)[4] * 100)
    np.testing.assert_allclose(np.abs(adaptation.map.features), 0.5 * np.array(model.metadata.std), rtol=1e-4)
    assert np.abs(adaptation.map.logits).max() == 1.0


def test_one_utterance_moves_little(model: Model) -> None:
    adaptation = Adaptation(model.metadata)
    learn(adaptation, heard(model, 1.0), 2.0, np.eye(len(LABELS), dtype=np.float32)[4] * 5)
    assert np.all(adaptation.map.features == 0)
    assert 0 < np.abs(adaptation.map.logits).max() < 0.15


def one_emotion(strength: float, bias: np.ndarray, label: int) -> np.ndarray:
    """Logits of an utterance that clearly expresses a label, by a network that leans."""
    return (np.eye(len(LABELS))[label] * strength + bias).astype(np.float32)


@pytest.mark.parametrize("label", range(len(LABELS)))
def test_an_hour_of_one_emotion_does_not_become_the_measure_of_calm(model: Model, label: int) -> None:
    adaptation = Adaptation(model.metadata)
    for _ in range(360):
        learn(adaptation, heard(model, 0.0), 10, one_emotion(4.0, np.zeros(8), label))
    judged = adaptation.map.judged(one_emotion(4.0, np.zeros(8), label))
    assert int(judged.argmax()) == label
    assert np.abs(adaptation.map.logits).max() < 0.401


def test_what_the_network_leans_to_with_a_voice_is_taken_off(model: Model) -> None:
    bias = np.array([0, 0, 0.6, 0, 0, 0, 0, -0.6])
    adaptation = Adaptation(model.metadata)
    for turn in range(200):
        learn(adaptation, heard(model, 0.0), 3, one_emotion(3.0, bias, turn % 8))
    unbiased = Adaptation(model.metadata)
    for turn in range(200):
        learn(unbiased, heard(model, 0.0), 3, one_emotion(3.0, np.zeros(8), turn % 8))
    difference = adaptation.map.logits - unbiased.map.logits
    assert difference[2] > 0.2
    assert difference[7] < -0.2
    assert np.abs(difference[[0, 1, 3, 4, 5, 6]]).max() < 0.15


def test_another_voice_is_followed_though_much_was_heard(model: Model) -> None:
    adaptation = Adaptation(model.metadata, strength=STRENGTH)
    for _ in range(1000):
        learn(adaptation, heard(model, 0.4), 10)
    assert adaptation.statistics is not None
    assert adaptation.statistics.seconds == pytest.approx(400)
    for _ in range(80):
        learn(adaptation, heard(model, -0.4), 10)
    assert np.all(adaptation.map.features < 0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_not_learnt(model: Model, bad: float) -> None:
    adaptation = Adaptation(model.metadata)
    adaptation.learn(np.full(SIZE, bad), 10, ZERO)
    adaptation.learn(np.zeros(SIZE), 10, np.full(8, bad, dtype=np.float32))
    adaptation.learn(np.zeros(SIZE), 0, ZERO)
    assert adaptation.map is IDENTITY


def test_forgetting_goes_back_to_the_identity(model: Model) -> None:
    running = Adaptation(model.metadata)
    learn(running, heard(model, 1.0), 30)
    assert running.statistics is not None
    running.forget()
    assert running.map is IDENTITY
    assert running.statistics is None


def test_a_fixed_profile_stays_what_it_is(model: Model) -> None:
    profile = Statistics(45.0, heard(model, 0.3), np.linspace(-0.4, 0.4, 8), "one")
    adaptation = Adaptation(model.metadata, profile=profile, fixed=True)
    before = adaptation.map
    assert before.name == "profile"
    learn(adaptation, heard(model, -1.0), 30)
    assert adaptation.map is before
    adaptation.forget()
    assert adaptation.statistics is profile


def test_learning_goes_on_from_a_profile_and_forgetting_goes_back_to_it(model: Model) -> None:
    profile = Statistics(45.0, heard(model, 0.3), np.linspace(-0.4, 0.4, 8), "one")
    adaptation = Adaptation(model.metadata, strength=STRENGTH, profile=profile)
    begun = adaptation.map
    same = Adaptation(model.metadata, profile, STRENGTH).map
    np.testing.assert_array_equal(begun.logits, same.logits)
    np.testing.assert_array_equal(begun.features, same.features)
    length = learn(adaptation, heard(model, -0.3), 45)
    learnt = adaptation.statistics
    assert learnt is not None
    # As if the profile's speech had been heard just before.
    assert (learnt.seconds, learnt.profile) == (45 + length, "one")
    np.testing.assert_allclose(learnt.features, heard(model, 0.0), atol=1e-2)
    assert adaptation.map.name == "profile"
    # After a restart it goes on from there, and still knows what to go back to.
    again = Adaptation(
        model.metadata,
        Statistics.from_data(learnt.to_data(adaptation.model), model.metadata),
        STRENGTH,
        profile=profile,
    )
    assert again.statistics is not None
    assert (again.statistics.profile, again.map.name) == ("one", "profile")
    np.testing.assert_allclose(again.map.logits, adaptation.map.logits, atol=1e-5)
    again.forget()
    assert again.statistics is profile
    np.testing.assert_array_equal(again.map.logits, begun.logits)


def test_statistics_survive_as_plain_numbers(model: Model) -> None:
    adaptation = Adaptation(model.metadata)
    learn(adaptation, heard(model, 0.3), 30, np.arange(8, dtype=np.float32))
    assert adaptation.statistics is not None
    text = json.dumps(adaptation.statistics.to_data(adaptation.model))
    # Numbers, and the network that they belong to: no label, no audio.
    assert not any(label in text for label in LABELS)
    assert len(text) < 2_000
    again = Adaptation(model.metadata, Statistics.from_data(json.loads(text), model.metadata))
    np.testing.assert_allclose(again.map.features, adaptation.map.features, atol=1e-4)
    np.testing.assert_allclose(again.map.logits, adaptation.map.logits, atol=1e-5)


def edited(model: Model, **changes: Any) -> dict[str, Any]:
    data = Statistics(60.0, heard(model, 0.1), np.zeros(8)).to_data(model_version(model.metadata))
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
def test_something_else_is_no_adaptation(model: Model, data: object) -> None:
    with pytest.raises(AdaptationError, match="holds no adaptation"):
        Statistics.from_data(data, model.metadata)


def test_another_network_is_told_apart_and_both_are_named(model: Model) -> None:
    assert model_version(replace(model.metadata, typical_logits=None)) != model_version(model.metadata)
    other = replace(model.metadata, mean=tuple(value + 1 for value in model.metadata.mean))
    assert model_version(other) != model_version(model.metadata)
    with pytest.raises(AdaptationError) as caught:
        Statistics.from_data(edited(model), other)
    assert model_version(other) in str(caught.value)
    assert model_version(model.metadata) in str(caught.value)


def utterance(analyzer: Analyzer, number: int, samples: np.ndarray) -> list[EmotionResult]:
    results = analyzer.push(SpeechStarted(number, 0))
    for at in range(0, len(samples), 4096):
        results = [*results, *analyzer.push(SpeechAudio(number, samples[at : at + 4096], at, at + 4096))]
    results = [*results, *analyzer.push(SpeechEnded(number, len(samples), len(samples), "silence"))]
    return [result for result in results if isinstance(result, EmotionResult)]


def test_an_utterance_is_judged_by_the_map_it_began_with(model: Model) -> None:
    noise = (3000 * np.random.default_rng(2).standard_normal(40_000)).astype(np.int16)
    decision = DecisionConfig(min_voiced_ms=0, unknown_below=0.0, unlike_speech=False)
    adaptation = Adaptation(model.metadata, Statistics(100.0, heard(model, 0.3), np.linspace(-0.5, 0.5, 8)))
    profile = Statistics(100.0, heard(model, 0.3), np.linspace(-0.5, 0.5, 8))
    fixed = Adaptation(model.metadata, profile=profile, fixed=True)

    class Impatient(Analyzer):
        """Forgets in the middle."""

        def _take(self, frames: np.ndarray) -> None:
            super()._take(frames)
            adaptation.forget()

    plain, moved = (utterance(Analyzer(model, decision, one), 1, noise) for one in (None, fixed))
    interrupted = utterance(Impatient(model, decision, adaptation), 1, noise)
    assert {emotion.adaptation for emotion in interrupted} == {"running"}
    assert [emotion.scores for emotion in interrupted] == [emotion.scores for emotion in moved]
    assert interrupted[-1].scores != plain[-1].scores
    assert {emotion.adaptation for emotion in plain} == {"none"}


def test_what_an_utterance_teaches_counts_from_the_next_one_on(model: Model) -> None:
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


def test_too_little_voice_teaches_nothing(model: Model) -> None:
    adaptation = Adaptation(model.metadata)
    utterance(Analyzer(model, DecisionConfig(min_voiced_ms=5000), adaptation), 1, np.zeros(40_000, dtype=np.int16))
    assert adaptation.map is IDENTITY


def test_blocks_of_any_size_teach_the_same(model: Model, demo: np.ndarray) -> None:
    maps = []
    for size in (700, 16_000):
        adaptation = Adaptation(model.metadata)
        recognizer = Recognizer(model, adaptation=adaptation)
        for at in range(0, len(demo), size):
            recognizer.push(demo[at : at + size])
        recognizer.finish()
        maps.append(adaptation.map)
    assert maps[0].name == "running"
    np.testing.assert_allclose(maps[0].features, maps[1].features, atol=1e-3)
    np.testing.assert_allclose(maps[0].logits, maps[1].logits, atol=1e-3)
