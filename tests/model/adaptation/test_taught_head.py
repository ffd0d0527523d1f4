"""The head that is fitted to a speaker's own examples."""

from __future__ import annotations

import time

import numpy as np
import pytest

from ser_model.adaptation.taught_head import MOST_EXAMPLES, TaughtExample, TeachingStrength, fit_head
from ser_model.errors import AdaptationError
from ser_model.labels import LABELS
from ser_model.scoring.softmax import softmax

TEMPERATURE = 1.7
HIDDEN = 64


def example(label: str, rng: np.random.Generator, distance: float = 1.0) -> TaughtExample:
    """An utterance that the network hears as neutral, whose embedding depends on its label."""
    embedding = rng.normal(size=HIDDEN)
    embedding[LABELS.index(label)] += 3 * distance
    return TaughtExample(label, np.eye(8)[0] * 2.0, embedding)


def right(labels: list[str], count: int, strength: TeachingStrength | None = None) -> float:
    """Share of new utterances of some labels that a head answers rightly after `count` examples of each."""
    rng = np.random.default_rng(1)
    head = fit_head([example(label, rng) for label in labels for _ in range(count)], TEMPERATURE, strength)
    assert head is not None
    later = [example(label, rng) for label in labels for _ in range(50)]
    return float(np.mean([LABELS[head.apply(one.logits, one.embedding).argmax()] == one.label for one in later]))


def test_examples_correct_a_network_that_hears_only_neutral() -> None:
    labels = ["neutral", "happy", "angry"]
    assert right(labels, 1) < right(labels, 8)
    assert right(labels, 8) > 0.8


def test_a_strong_prior_changes_nothing() -> None:
    assert right(["neutral", "happy"], 5, TeachingStrength(weight_precision=1e9, bias_precision=1e9)) == 0.5


def test_labels_that_were_not_taught_keep_their_posterior() -> None:
    rng = np.random.default_rng(0)
    strength = TeachingStrength(temperature=1.0)
    head = fit_head([example(label, rng) for label in ("neutral", "happy") * 3], TEMPERATURE, strength)
    assert head is not None
    logits = rng.normal(size=8)
    before = softmax(logits / TEMPERATURE)
    after = softmax(head.apply(logits, rng.normal(size=HIDDEN)) / TEMPERATURE)
    others = [at for at, label in enumerate(LABELS) if label not in ("neutral", "happy")]
    assert after[others] == pytest.approx(before[others], abs=1e-6)
    assert after[0] != pytest.approx(before[0], abs=1e-3)


def test_one_label_alone_teaches_nothing() -> None:
    assert fit_head([], TEMPERATURE) is None
    assert fit_head([example("happy", np.random.default_rng(0))] * 5, TEMPERATURE) is None


def test_only_the_newest_examples_count() -> None:
    rng = np.random.default_rng(0)
    every = [example("sad", rng), *(example(label, rng) for label in ("neutral", "happy") * (MOST_EXAMPLES // 2))]
    head = fit_head(every, TEMPERATURE)
    assert head is not None
    assert head.labels == ("neutral", "happy")
    assert head.examples == MOST_EXAMPLES


def test_a_fit_does_not_take_long() -> None:
    rng = np.random.default_rng(0)
    examples = [example(LABELS[at % 8], rng, 0.2) for at in range(MOST_EXAMPLES)]
    fit_head(examples, TEMPERATURE)
    began = time.perf_counter()
    fit_head(examples, TEMPERATURE)
    assert time.perf_counter() - began < 0.5


def test_an_example_survives_its_file() -> None:
    one = example("fearful", np.random.default_rng(0))
    again = TaughtExample.from_data(one.to_data(), HIDDEN)
    assert again.label == "fearful"
    assert again.logits == pytest.approx(one.logits, abs=1e-5)
    assert again.embedding == pytest.approx(one.embedding, abs=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": "bored"}, "'bored', which is none of neutral"),
        ({"label": ["happy"]}, "which is none of"),
        ({"logits": [0.0] * 7}, "logits of an example: expected 8 numbers"),
        ({"logits": [float("nan")] * 8}, "expected 8 numbers"),
        ({"logits": [1e6] * 8}, "expected numbers up to 100"),
        ({"embedding": "x"}, "embedding of an example: expected 64 numbers"),
        ({"embedding": [True] * 64}, "expected 64 numbers"),
    ],
)
def test_damaged_examples_are_refused(change: dict[str, object], message: str) -> None:
    data = example("happy", np.random.default_rng(0)).to_data() | change
    with pytest.raises(AdaptationError, match=message):
        TaughtExample.from_data(data, HIDDEN)


@pytest.mark.parametrize("data", [None, [], "x", 5])
def test_what_is_no_example_is_refused(data: object) -> None:
    with pytest.raises(AdaptationError, match="is damaged"):
        TaughtExample.from_data(data, HIDDEN)
