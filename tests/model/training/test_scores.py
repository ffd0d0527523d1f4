"""UAR, confusion matrix, temperature and threshold."""

from __future__ import annotations

import numpy as np
import pytest

from ser_model.training.scores import (
    MISSED,
    auroc,
    confusion,
    fit_temperature,
    posterior,
    uar,
    unknown_threshold,
)


def test_uar_weights_every_class_equally() -> None:
    truth = np.array([0] * 98 + [1] * 2)
    assert uar(truth, np.zeros(100, dtype=np.int64)) == pytest.approx(0.5)


def test_a_missed_utterance_is_an_error() -> None:
    truth = np.array([0, 0, 1, 1])
    assert uar(truth, np.array([0, MISSED, 1, 1])) == pytest.approx(0.75)
    table = confusion(truth, np.array([0, MISSED, 1, 1]))
    assert table[0].tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 1]
    assert table.sum() == 4


def test_the_temperature_of_overconfident_logits_is_found() -> None:
    rng = np.random.default_rng(0)
    calibrated = rng.standard_normal((4000, 8)) * 1.5
    truth = np.array([rng.choice(8, p=row) for row in posterior(calibrated)])
    assert fit_temperature(calibrated * 3, truth) == pytest.approx(3, rel=0.1)


def test_the_threshold_gives_the_precision_asked_for() -> None:
    rng = np.random.default_rng(1)
    logits = rng.standard_normal((4000, 8)) * 1.5
    probabilities = posterior(logits)
    truth = np.array([rng.choice(8, p=row) for row in probabilities])
    threshold = unknown_threshold(probabilities, truth, np.arange(4000) % 10, 0.75)
    given = probabilities.max(axis=1) >= threshold
    assert np.mean(probabilities.argmax(axis=1)[given] == truth[given]) >= 0.75
    assert given.mean() > 0.05


def test_without_a_precise_threshold_nothing_is_labelled() -> None:
    probabilities = np.full((10, 8), 1 / 8)
    assert unknown_threshold(probabilities, np.full(10, 5), np.arange(10) % 2, 0.75) == 1.0


def test_the_threshold_is_higher_if_actors_differ() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.3, 1.0, 4000)
    probabilities = np.concatenate((confidence[:, None], np.repeat((1 - confidence)[:, None] / 7, 7, axis=1)), axis=1)
    right = rng.random(4000) < confidence
    truth = np.where(right, 0, 1)
    mixed = np.arange(4000) % 10
    # Half of the actors have the recordings that the network gets right, the others the rest.
    separated = np.where(right, rng.integers(0, 5, 4000), rng.integers(5, 10, 4000))
    thresholds = [unknown_threshold(probabilities, truth, actors, 0.75) for actors in (mixed, separated)]
    plain = unknown_threshold(probabilities, truth, np.zeros(4000, dtype=np.int64), 0.75)
    assert plain < thresholds[0] < plain + 0.05
    assert thresholds[1] > thresholds[0] + 0.1


def test_auroc_counts_pairs() -> None:
    assert auroc(np.array([1.0, 2.0]), np.array([3.0, 4.0])) == 1
    assert auroc(np.array([3.0, 4.0]), np.array([1.0])) == 0
    assert auroc(np.array([1.0, 3.0]), np.array([2.0, 3.0])) == pytest.approx((1 + 0 + 1 + 0.5) / 4)
