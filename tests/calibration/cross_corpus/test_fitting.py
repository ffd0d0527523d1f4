"""Values that are fitted on answers for strangers: known truths come back, and every corpus counts the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the train extra is not installed")

from ser_calibration.cross_corpus.answers import Evidence
from ser_calibration.cross_corpus.fitting import fit, fit_activation, fit_bias_and_temperature, threshold
from ser_model.labels import LABELS
from ser_model.scoring.softmax import softmax
from ser_model.scoring.temperature import Temperature
from ser_model.training.corpora.recording_pool import RecordingPool
from ser_model.training.data.corpus_frames import CorpusFrames
from ser_model.training.data.labelled_corpus import LabelledCorpus, LabelledRecording
from ser_model.training.folds.predictions import Predictions
from ser_model.types import SAMPLE_RATE


def make_evidence(sharpness: float = 1.0, count: int = 4_000, corpora: int = 2, seed: int = 0) -> Evidence:
    """Answers whose probabilities are true when the logits are divided by `sharpness`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (count, len(LABELS)))
    chances = softmax(logits)
    truth = np.array([rng.choice(len(LABELS), p=row) for row in chances])
    predictions = Predictions(
        np.arange(count),
        (logits * sharpness).astype(np.float32),
        np.zeros((count, 4), dtype=np.float32),
        np.full(count, 3 * SAMPLE_RATE),
    )
    accepted = np.eye(len(LABELS), dtype=bool)[truth]
    even = np.full(count, 1 / count)
    return Evidence(predictions, accepted, np.arange(count) % corpora, even, even)


def fit_temperature(kinds: list[Evidence]) -> Temperature:
    return fit_bias_and_temperature(kinds)[1]


def test_the_temperature_is_what_the_answers_were_sharpened_by() -> None:
    assert fit_temperature([make_evidence(2.0)]).long == pytest.approx(2.0, rel=0.06)


def test_a_label_that_is_given_too_often_gets_a_bias() -> None:
    evidence = make_evidence()
    neutral = LABELS.index("neutral")
    pushed = evidence.predictions.shifted(3.0 * np.eye(len(LABELS))[neutral])
    bias, _ = fit_bias_and_temperature([replace(evidence, predictions=pushed)])
    assert bias.argmin() == neutral
    assert -3.0 < bias[neutral] - np.delete(bias, neutral).mean() < -1.0
    assert bias.sum() == pytest.approx(0, abs=1e-3)


def test_every_class_of_a_corpus_has_the_same_weight() -> None:
    pool = RecordingPool((corpus_part("one", "aaab"), corpus_part("two", "ab")))
    predictions = Predictions(np.arange(6), np.zeros((6, 8)), np.zeros((6, 4)), np.zeros(6, dtype=np.int64))
    evidence = Evidence.of(pool, predictions)
    np.testing.assert_allclose(evidence.weights, [1 / 8] * 4 + [1 / 4] * 2)
    np.testing.assert_allclose(evidence.balanced, [1 / 12] * 3 + [1 / 4] * 3)
    np.testing.assert_allclose(Evidence.of(pool, predictions, left_out=["one"]).balanced, [1 / 2] * 2)


def corpus_part(name: str, emotions: str) -> CorpusFrames:
    """Recordings whose emotions are letters: `a` is angry, `b` is sad."""
    recordings = tuple(
        LabelledRecording(path=Path("x"), name=str(at), speaker=f"{name}/x", emotion={"a": 4, "b": 3}[letter])
        for at, letter in enumerate(emotions)
    )
    corpus = LabelledCorpus(name=name, root=Path(name), recordings=recordings, identity=tuple(emotions))
    count = len(emotions)
    frames = [[np.zeros((3, 46), dtype=np.float32)] for _ in emotions]
    return CorpusFrames(corpus, frames, np.ones(count, np.int64), [np.arange(3)] * count)


def test_a_label_may_be_right_in_two_ways() -> None:
    """Where neutral and calm are the same, their probabilities add up, so sharing between them is no error."""
    evidence = make_evidence()
    neutral, calm = LABELS.index("neutral"), LABELS.index("calm")
    either = evidence.accepted[:, neutral] | evidence.accepted[:, calm]
    accepted = evidence.accepted.copy()
    accepted[either, neutral] = accepted[either, calm] = True
    both = replace(evidence, accepted=accepted)
    assert fit_temperature([both]).long == pytest.approx(1.0, rel=0.08)


def test_the_threshold_is_the_lowest_that_keeps_the_precision() -> None:
    confidence = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    right = np.array([True, True, False, True, False])
    even = np.full(5, 0.2)
    assert threshold(confidence, right, even, 0.75) == 0.6
    assert threshold(confidence, right, even, 1.0) == 0.8
    assert threshold(confidence, ~right, even, 0.75) == 1.0
    # The recordings of a large corpus weigh less each.
    assert threshold(confidence, right, np.array([0.1, 0.1, 0.6, 0.1, 0.1]), 0.75) == 0.8


def test_activation_is_calibrated_and_right_as_often_as_asked_for() -> None:
    evidence = make_evidence(2.0, count=20_000)
    found = fit([evidence, evidence])
    fresh = make_evidence(2.0, count=20_000, seed=1)
    scores = softmax((fresh.predictions.logits + found.bias) / found.temperature.long)
    high = fresh.accepted[:, [LABELS.index(name) for name in ("happy", "angry", "fearful", "surprised")]].any(axis=1)
    low = fresh.accepted[:, [LABELS.index(name) for name in ("neutral", "calm", "sad")]].any(axis=1)
    from scipy.special import expit

    from ser_model.scoring.activation import log_odds

    probability = expit(found.activation.slope * log_odds(scores) + found.activation.offset)
    sure = (np.maximum(probability, 1 - probability) >= found.activation.unknown_below) & (high | low)
    right = ((probability > 0.5) == high)[sure]
    assert 0.87 < right.mean() < 0.95
    assert sure.sum() > 1_000


def test_activation_needs_no_corpus_to_have_both_levels() -> None:
    evidence = make_evidence(count=2_000, corpora=3)
    only_low = np.zeros_like(evidence.accepted)
    only_low[:, LABELS.index("sad")] = True
    accepted = np.where((evidence.corpus == 2)[:, None], only_low, evidence.accepted)
    changed = replace(evidence, accepted=accepted)
    scores = softmax(changed.predictions.logits)
    found = fit_activation(scores, changed)
    others = np.flatnonzero(evidence.corpus != 2)
    part = Evidence(
        evidence.predictions.where(evidence.corpus != 2),
        evidence.accepted[others],
        evidence.corpus[others],
        evidence.weights[others],
        evidence.balanced[others],
    )
    assert found == fit_activation(scores[others], part)
