"""From samples to results: the size of the blocks has no influence, and uncertain answers are `unknown`."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from ser_model import Model, Recognizer
from ser_model.config import DecisionConfig, GateConfig
from ser_model.decision import Decision
from ser_model.labels import LABELS
from ser_model.recognizer import Analyzer
from ser_model.scoring.activation import ActivationParameters
from ser_model.types import (
    Activation,
    Block,
    EmotionResult,
    Result,
    SpeechAudio,
    SpeechEnded,
    SpeechStarted,
    VoiceStarted,
    VoiceStopped,
)
from support.speech import synthetic_speech


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.load()


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return synthetic_speech()


def recognise(model: Model, samples: np.ndarray, size: int) -> list[Result]:
    recognizer = Recognizer(model)
    results: list[Result] = []
    for at in range(0, len(samples), size):
        results += recognizer.push(Block(samples[at : at + size], at))
    return results + recognizer.finish()


def finals(results: list[Result]) -> list[EmotionResult]:
    return [result for result in results if isinstance(result, EmotionResult) and result.final]


def test_every_utterance_starts_gets_answers_and_stops_in_this_order(model: Model, speech: np.ndarray) -> None:
    results = recognise(model, speech, 1600)
    numbers = sorted({result.utterance for result in results})
    assert numbers == [1, 2, 3, 4, 5, 6]
    for number in numbers:
        mine = [result for result in results if result.utterance == number]
        assert isinstance(mine[0], VoiceStarted)
        assert isinstance(mine[-1], VoiceStopped)
        emotions = [result for result in mine if isinstance(result, EmotionResult)]
        assert emotions[-1].final
        assert any(not emotion.final for emotion in emotions)
        assert emotions[-1].start == mine[0].timestamp
        assert emotions[-1].end == mine[-1].timestamp


@pytest.mark.parametrize("size", [157, 512, 4000, 10**6])
def test_the_block_size_changes_nothing(model: Model, speech: np.ndarray, size: int) -> None:
    expected, got = (recognise(model, speech, each) for each in (1600, size))
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        assert type(one) is type(other)
        if isinstance(one, EmotionResult) and isinstance(other, EmotionResult):
            assert (one.start, one.end, one.voiced, one.label) == (other.start, other.end, other.voiced, other.label)
            assert one.scores == pytest.approx(other.scores, abs=1e-3)
        else:
            assert one == other


def test_partial_answers_come_every_update(model: Model, speech: np.ndarray) -> None:
    partials = [
        result for result in recognise(model, speech, 1600) if isinstance(result, EmotionResult) and not result.final
    ]
    same = [b.timestamp - a.timestamp for a, b in itertools.pairwise(partials) if a.utterance == b.utterance]
    assert set(same) == {8000}
    assert all(emotion.end - emotion.start <= 3 * 16000 + 1365 for emotion in partials)


def test_the_final_answer_of_an_utterance_is_the_window_graph_over_all_of_it(model: Model) -> None:
    from ser_model.features.features import compute_features

    samples = (3000 * np.random.default_rng(2).standard_normal(30_000)).astype(np.int16)
    analyzer = Analyzer(model, DecisionConfig(min_voiced_ms=0, unknown_below=0.0, temperature=1.0))
    analyzer.push(SpeechStarted(1, 0))
    for at in range(0, len(samples), 512):
        analyzer.push(SpeechAudio(1, samples[at : at + 512], at, at))
    final = analyzer.push(SpeechEnded(1, 30_000, 30_000, "silence"))[0]
    assert isinstance(final, EmotionResult)
    logits = model.window(compute_features(samples)).logits
    expected = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    np.testing.assert_allclose(list(final.scores.values()), expected, atol=1e-4)


def test_too_little_voice_is_unknown(model: Model, speech: np.ndarray) -> None:
    recognizer = Recognizer(model, decision=DecisionConfig(min_voiced_ms=60_000))
    answers = finals(recognizer.push(speech) + recognizer.finish())
    assert [(answer.label, answer.reason) for answer in answers] == [("unknown", "too-short")] * 6
    assert all(answer.top in LABELS for answer in answers)


def test_an_answer_has_an_activation_where_the_model_knows_how(speech: np.ndarray) -> None:
    model = Model.load()
    model.metadata = replace(model.metadata, activation=None)
    plain = finals(recognise(model, speech, 16_000))
    assert {answer.activation for answer in plain} == {None}
    parameters = ActivationParameters(slope=2.0, offset=-0.5, unknown_below=0.6)
    # About half of the answers get a label.
    median = float(np.median([answer.confidence for answer in plain]))
    model.metadata = replace(model.metadata, activation=parameters, unknown_below=median)
    answers = [one for one in recognise(model, speech, 16_000) if isinstance(one, EmotionResult)]
    assert {answer.final for answer in answers} == {True, False}
    for answer in answers:
        decided = parameters.decide(np.array(list(answer.scores.values())))
        level = decided.level if answer.reason in (None, "low-confidence") else "unknown"
        assert answer.activation == Activation(level, decided.probability)
    known = {answer.reason for answer in answers if answer.activation and answer.activation.level != "unknown"}
    assert known == {None, "low-confidence"}


def test_low_confidence_is_unknown_with_the_most_likely_label(model: Model) -> None:
    decision = Decision(DecisionConfig(unknown_below=0.5, temperature=1.0), model.metadata)
    logits = np.zeros(8, dtype=np.float32)
    logits[4] = 1.0
    answer = decision.final(logits, 16_000)
    assert (answer.label, answer.reason, answer.top) == ("unknown", "low-confidence", "angry")
    assert sum(answer.scores.values()) == pytest.approx(1)
    logits[4] = 4.0
    assert decision.final(logits, 16_000).label == "angry"


def test_a_higher_temperature_lowers_the_confidence(model: Model) -> None:
    logits = np.arange(8, dtype=np.float32)
    confidences = [
        Decision(DecisionConfig(temperature=temperature), model.metadata).final(logits, 16_000).confidence
        for temperature in (0.5, 1.0, 3.0)
    ]
    assert confidences == sorted(confidences, reverse=True)


def test_partial_answers_are_smoothed(model: Model) -> None:
    decision = Decision(DecisionConfig(smoothing=0.75, temperature=1.0, unknown_below=0.0), model.metadata)
    happy, sad = np.full(8, -20, dtype=np.float32), np.full(8, -20, dtype=np.float32)
    happy[2], sad[3] = 20, 20
    assert decision.partial(happy, 16_000).label == "happy"
    assert decision.partial(sad, 16_000).scores["sad"] == pytest.approx(0.25, abs=1e-6)
    decision.reset()
    assert decision.partial(sad, 16_000).label == "sad"


def test_a_partial_answer_keeps_its_label_until_another_leads_by_the_margin(model: Model) -> None:
    decision = Decision(DecisionConfig(margin=0.5, temperature=1.0, unknown_below=0.0), model.metadata)
    happy, sad = np.zeros(8, dtype=np.float32), np.zeros(8, dtype=np.float32)
    happy[2], sad[3] = 2, 1
    assert decision.partial(happy, 16_000).label == "happy"
    kept = decision.partial(sad, 16_000)
    assert (kept.label, kept.confidence) == ("happy", kept.scores["happy"])
    sad[3] = 4
    assert decision.partial(sad, 16_000).label == "sad"


def test_an_utterance_without_a_frame_still_gets_an_answer(model: Model) -> None:
    analyzer = Analyzer(model)
    analyzer.push(SpeechStarted(1, 100))
    final = analyzer.push(SpeechEnded(1, 100, 0, "gap"))[0]
    assert isinstance(final, EmotionResult)
    assert (final.label, final.reason) == ("unknown", "too-short")


def test_nothing_is_recognised_in_silence(model: Model) -> None:
    recognizer = Recognizer(model, GateConfig())
    assert recognizer.push(np.zeros(80_000, dtype=np.int16)) + recognizer.finish() == []
