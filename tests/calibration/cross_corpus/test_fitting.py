"""Values that are fitted on answers for strangers: known truths come back, and every corpus counts the same."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="the train extra is not installed")

from ser_calibration.cross_corpus.answers import Evidence
from ser_calibration.cross_corpus.fitting import fit, fit_activation, fit_temperature, threshold
from ser_model.labels import LABELS
from ser_model.scoring.softmax import softmax
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
    return Evidence(predictions, accepted, np.arange(count) % corpora, np.full(count, 1 / count))


def test_the_temperature_is_what_the_answers_were_sharpened_by() -> None:
    assert fit_temperature([make_evidence(2.0)]).long == pytest.approx(2.0, rel=0.06)


def test_a_label_may_be_right_in_two_ways() -> None:
    """Where neutral and calm are the same, their probabilities add up, so sharing between them is no error."""
    evidence = make_evidence()
    neutral, calm = LABELS.index("neutral"), LABELS.index("calm")
    either = evidence.accepted[:, neutral] | evidence.accepted[:, calm]
    accepted = evidence.accepted.copy()
    accepted[either, neutral] = accepted[either, calm] = True
    both = Evidence(evidence.predictions, accepted, evidence.corpus, evidence.weights)
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
    scores = softmax(fresh.predictions.logits / found.temperature.long)
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
    changed = Evidence(evidence.predictions, accepted, evidence.corpus, evidence.weights)
    scores = softmax(changed.predictions.logits)
    found = fit_activation(scores, changed)
    others = np.flatnonzero(evidence.corpus != 2)
    part = Evidence(
        evidence.predictions.where(evidence.corpus != 2),
        evidence.accepted[others],
        evidence.corpus[others],
        evidence.weights[others],
    )
    assert found == fit_activation(scores[others], part)
