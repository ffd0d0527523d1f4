"""The head that is fitted to a speaker's own examples."""

from __future__ import annotations

import time

import numpy as np
import pytest

from ser_model.adaptation.residual_fit import fit_residual, leave_one_out, metric
from ser_model.adaptation.taught_head import MOST_EXAMPLES, TaughtExample, TeachingStrength, fit_head
from ser_model.errors import AdaptationError
from ser_model.labels import LABELS

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
    assert right(["neutral", "happy"], 5, TeachingStrength(weight_precisions=(1e9,), bias_precision=1e9)) == 0.5


def test_labels_that_were_not_taught_keep_their_rank() -> None:
    rng = np.random.default_rng(0)
    head = fit_head([example(label, rng) for label in ("neutral", "happy") * 3], TEMPERATURE)
    assert head is not None
    others = [at for at, label in enumerate(LABELS) if label not in ("neutral", "happy")]
    changed = 0
    for _ in range(200):
        logits, one = rng.normal(size=8), example("happy", rng)
        after = head.apply(logits, one.embedding) * head.temperature
        assert after[others] == pytest.approx(logits[others], abs=1e-4)
        assert after[[0, 2]].max() == pytest.approx(logits[[0, 2]].max(), abs=1e-4)
        changed += int(after[[0, 2]].argmax() != logits[[0, 2]].argmax())
    assert changed > 20


def test_an_utterance_unlike_all_examples_is_left_to_the_network() -> None:
    rng = np.random.default_rng(0)
    head = fit_head([example(label, rng) for label in ("neutral", "happy") * 5], TEMPERATURE)
    assert head is not None
    one = example("happy", rng)
    near, far = (head.apply(one.logits, one.embedding + away) * head.temperature for away in (0.0, 40.0))
    assert near.argmax() == LABELS.index("happy")
    assert far == pytest.approx(one.logits, abs=1e-3)


def test_examples_that_contradict_each_other_change_less_and_are_less_sure() -> None:
    rng = np.random.default_rng(0)
    labels = ("neutral", "happy", "angry")
    agreeing = [example(label, rng) for label in labels * 10]
    names = [labels[at] for at in rng.integers(3, size=len(agreeing))]
    random = [TaughtExample(name, one.logits, one.embedding) for name, one in zip(names, agreeing, strict=True)]
    one, other = fit_head(agreeing, TEMPERATURE), fit_head(random, TEMPERATURE)
    assert one is not None
    assert other is not None
    assert other.temperature > 1.1 * one.temperature
    assert np.abs(other.weights[:, :-1]).mean() < np.abs(one.weights[:, :-1]).mean()


def test_leaving_one_out_is_foretold() -> None:
    rng = np.random.default_rng(0)
    examples = [example(label, rng) for label in ("neutral", "happy", "angry") * 6]
    inputs = np.array([np.append(one.embedding, 1.0) for one in examples])
    targets = np.eye(3)[[("neutral", "happy", "angry").index(one.label) for one in examples]]
    base, precisions = np.zeros((18, 3)), np.full(HIDDEN + 1, 3.0)
    foretold = leave_one_out(base, inputs, targets, precisions, fit_residual(base, inputs, targets, precisions))
    for at in range(18):
        kept = np.arange(18) != at
        weights = fit_residual(base[kept], inputs[kept], targets[kept], precisions)
        assert foretold[at] == pytest.approx(weights @ inputs[at], abs=0.2)


def test_directions_in_which_a_label_varies_much_count_less() -> None:
    rng = np.random.default_rng(0)
    covariance = np.diag(np.linspace(0.1, 4.0, HIDDEN))
    whitening = np.linalg.cholesky(np.linalg.inv(covariance)).T
    for share, ratio in ((0.0, 40.0), (1.0, 1.0)):
        place = metric(whitening, share)
        variances = np.linalg.eigvalsh(place.T @ covariance @ place)
        assert variances.max() / variances.min() == pytest.approx(ratio, rel=1e-3)
        assert variances.sum() == pytest.approx(covariance.trace())
    head = fit_head([example(label, rng) for label in ("neutral", "happy") * 3], TEMPERATURE, whitening=whitening)
    assert head is not None
    assert head.metric.shape == (HIDDEN, HIDDEN)


@pytest.mark.parametrize("label", ["neutral", "happy"])
def test_examples_that_are_all_alike_do_no_harm(label: str) -> None:
    one = example(label, np.random.default_rng(0))
    head = fit_head([one, one, TaughtExample("sad", one.logits, one.embedding)], TEMPERATURE)
    assert head is not None
    assert np.isfinite(head.apply(one.logits, one.embedding)).all()
    assert head.apply(one.logits, one.embedding + 5.0) * head.temperature == pytest.approx(one.logits, abs=1e-3)


def test_a_wrong_answer_that_is_corrected_loses_although_it_was_never_taught() -> None:
    rng = np.random.default_rng(0)
    calls = [example(label, rng) for label in ("happy", "sad") * 6]
    corrected = [TaughtExample(one.label, one.logits, one.embedding, "neutral") for one in calls]
    plain, head = fit_head(calls, TEMPERATURE), fit_head(corrected, TEMPERATURE)
    assert plain is not None
    assert head is not None
    assert (plain.labels, head.labels) == (("happy", "sad"), ("neutral", "happy", "sad"))
    later = [example(label, rng) for label in ("happy", "sad") * 20]
    right = [
        np.mean([LABELS[one.apply(other.logits, other.embedding).argmax()] == other.label for other in later])
        for one in (plain, head)
    ]
    assert right[0] == 0
    assert right[1] > 0.7


def test_a_single_correction_takes_effect() -> None:
    one = example("happy", np.random.default_rng(0))
    head = fit_head([TaughtExample("happy", one.logits, one.embedding, "neutral")], TEMPERATURE)
    assert head is not None
    after = head.apply(one.logits, one.embedding) * head.temperature
    assert after[2] - after[0] > one.logits[2] - one.logits[0] + 1


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


@pytest.mark.timing
def test_a_fit_does_not_take_long() -> None:
    rng = np.random.default_rng(0)
    examples = [example(LABELS[at % 8], rng, 0.2) for at in range(MOST_EXAMPLES)]
    fit_head(examples, TEMPERATURE)
    began = time.thread_time()
    fit_head(examples, TEMPERATURE)
    assert time.thread_time() - began < 0.15  # 15 ms on an idle core


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
        ({"instead_of": "bored"}, "instead of 'bored', which is none of neutral"),
        ({"instead_of": 3}, "instead of 3, which is none of"),
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
