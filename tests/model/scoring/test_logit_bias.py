"""Which logits are typical of an answer: fitted to a network's answers, and kept in its file."""

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


def test_once_what_is_typical_is_taken_off_a_networks_leaning_is_left() -> None:
    rng = np.random.default_rng(1)
    rows = 100 * np.eye(8) + rng.normal(size=(8, 8))
    sure = rows[rng.integers(8, size=400)]
    typical = fit_class_mean_logits(sure)
    np.testing.assert_allclose(typical, rows - rows.mean(axis=1, keepdims=True))
    leaning = np.array([1.0, -1, 0, 0, 0, 0, 0, 0])
    for logits in sure[:20]:
        np.testing.assert_allclose(logit_bias(logits + leaning + 5, logits, typical), leaning, atol=1e-9)


def test_an_answer_counts_as_much_as_it_was_given() -> None:
    rng = np.random.default_rng(2)
    logits = 2 * rng.normal(size=(50, 8)).astype(np.float32)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = [np.average(logits - logits.mean(axis=1, keepdims=True), axis=0, weights=one) for one in shares.T]
    np.testing.assert_allclose(fit_class_mean_logits(logits), expected, atol=1e-5)
    assert np.isfinite(fit_class_mean_logits(5000 * np.eye(8)[[0, 0]])).all()


def test_a_table_survives_the_file_and_older_files_have_none(metadata: ModelMetadata) -> None:
    properties = metadata.to_properties()
    assert ModelMetadata.from_properties(properties, "f", metadata.mode) == metadata
    assert metadata.typical_logits is not None
    np.testing.assert_allclose(np.sum(metadata.typical_logits, axis=1), 0, atol=1e-3)
    assert np.argmax(metadata.typical_logits, axis=1).tolist() == list(range(len(LABELS)))
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
def test_a_table_that_is_none_is_refused_in_one_sentence(metadata: ModelMetadata, value: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        class_mean_logits_from(value)
    properties = metadata.to_properties() | {"typical_logits": json.dumps(value)}
    with pytest.raises(SerError, match=rf"^f: its description is damaged \(typical_logits: expected {words}") as caught:
        ModelMetadata.from_properties(properties, "f", metadata.mode)
    assert "\n" not in str(caught.value)
