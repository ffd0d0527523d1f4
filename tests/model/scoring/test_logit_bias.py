"""Class-mean logits are fitted to a network's answers and kept in its file; the bias remains without them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ser_model import Model
from ser_model.errors import SerError
from ser_model.labels import LABELS
from ser_model.network.metadata import ModelMetadata
from ser_model.scoring.logit_bias import class_mean_logits_from, fit_class_mean_logits, logit_bias

ZERO = [0.0] * 8


@pytest.fixture(scope="module")
def metadata() -> ModelMetadata:
    return Model.load().metadata


def test_the_bias_remains_without_the_class_means() -> None:
    rng = np.random.default_rng(1)
    rows = 100 * np.eye(8) + rng.normal(size=(8, 8))
    logits_of_each = rows[rng.integers(8, size=400)]
    class_means = fit_class_mean_logits(logits_of_each)
    np.testing.assert_allclose(class_means, rows - rows.mean(axis=1, keepdims=True))
    bias = np.array([1.0, -1, 0, 0, 0, 0, 0, 0])
    for logits in logits_of_each[:20]:
        np.testing.assert_allclose(logit_bias(logits + bias + 5, logits, class_means), bias, atol=1e-9)


def test_an_utterance_counts_for_an_answer_by_its_posterior() -> None:
    rng = np.random.default_rng(2)
    logits = 2 * rng.normal(size=(50, 8)).astype(np.float32)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = [np.average(logits - logits.mean(axis=1, keepdims=True), axis=0, weights=one) for one in shares.T]
    np.testing.assert_allclose(fit_class_mean_logits(logits), expected, atol=1e-5)
    assert np.isfinite(fit_class_mean_logits(5000 * np.eye(8)[[0, 0]])).all()


def test_class_mean_logits_survive_the_file_and_older_files_have_none(metadata: ModelMetadata) -> None:
    properties = metadata.to_properties()
    assert ModelMetadata.from_properties(properties, "f", metadata.mode) == metadata
    assert metadata.typical_logits is not None
    np.testing.assert_allclose(np.sum(metadata.typical_logits, axis=1), 0, atol=1e-3)
    # A label is highest where it is the answer. (Not in every row: strangers' calm is mostly taken for neutral.)
    assert np.argmax(metadata.typical_logits, axis=0).tolist() == list(range(len(LABELS)))
    del properties["typical_logits"]
    assert ModelMetadata.from_properties(properties, "f", metadata.mode).typical_logits is None


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("table", "8 rows of 8"),
        ([ZERO] * 7, "8 rows of 8"),
        ([*[ZERO] * 7, [*ZERO, 0.0]], "8 rows of 8"),
        ([*[ZERO] * 7, 0.0], "8 rows of 8"),
        ([*[ZERO] * 7, [*ZERO[1:], float("nan")]], "finite numbers"),
        ([*[ZERO] * 7, [*ZERO[1:], float("-inf")]], "finite numbers"),
        ([*[ZERO] * 7, [*ZERO[1:], 10**400]], "finite numbers"),
        ([*[ZERO] * 7, [*ZERO[1:], "0"]], "finite numbers"),
        ([*[ZERO] * 7, [*ZERO[1:], True]], "finite numbers"),
    ],
)
def test_damaged_class_means_are_refused_in_one_sentence(metadata: ModelMetadata, value: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        class_mean_logits_from(value)
    properties = metadata.to_properties() | {"typical_logits": json.dumps(value)}
    with pytest.raises(SerError, match=rf"^f: its description is damaged \(typical_logits: expected {words}") as caught:
        ModelMetadata.from_properties(properties, "f", metadata.mode)
    assert "\n" not in str(caught.value)
