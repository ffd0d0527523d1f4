"""The activation is high or low arousal by a calibrated probability, or `unknown` by a threshold of its own."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_model.labels import LABELS
from ser_model.scoring.activation import HIGH, LOW, ActivationParameters, log_odds
from ser_model.types import Activation

PLAIN = ActivationParameters(slope=1.0, offset=0.0, unknown_below=0.5)
"""With these, the probability is the share of the high labels among high and low ones."""

GOOD = {"slope": 1.5, "offset": -0.25, "unknown_below": 0.75}


def scores(**shares: float) -> np.ndarray:
    return np.array([shares.get(label, 0.0) for label in LABELS])


def test_each_label_but_disgust_is_of_high_or_of_low_arousal() -> None:
    assert sorted((*HIGH, *LOW, "disgust")) == sorted(LABELS)


def test_the_log_odds_compare_the_sums_of_both_groups_and_leave_out_disgust() -> None:
    one = scores(happy=0.1, angry=0.2, fearful=0.1, surprised=0.2, neutral=0.05, calm=0.1, sad=0.05, disgust=0.2)
    other = scores(neutral=0.4, disgust=0.6)
    assert log_odds(one) == pytest.approx(math.log(0.6 / 0.2))
    assert log_odds(one).shape == ()
    both = log_odds(np.stack((one, other)))
    assert both.shape == (2,)
    assert both[0] == log_odds(one)
    assert -40 < both[1] < -20, "a sum of 0 is finite"
    assert log_odds(scores(disgust=1.0)) == 0


def test_the_probability_is_a_logistic_function_of_the_log_odds() -> None:
    four_to_one = scores(angry=0.8, sad=0.2)
    assert PLAIN.probability(four_to_one) == pytest.approx(0.8)
    steeper = ActivationParameters(slope=2.0, offset=-math.log(4), unknown_below=0.5)
    assert steeper.probability(four_to_one) == pytest.approx(0.8)
    assert steeper.probability(scores(happy=0.5, calm=0.5)) == pytest.approx(0.2)
    assert PLAIN.probability(np.stack([four_to_one] * 3)).shape == (3,)


def test_the_extremes_give_0_and_1_without_a_warning() -> None:
    steepest = ActivationParameters(slope=100.0, offset=-100.0, unknown_below=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert steepest.decide(scores(angry=1.0)) == Activation("high", 1.0)
        assert steepest.decide(scores(calm=1.0)) == Activation("low", 0.0)


@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=2), st.floats(0.1, 10), st.floats(-5, 5))
def test_a_larger_share_of_high_labels_never_lowers_the_probability(
    shares: list[float], slope: float, offset: float
) -> None:
    parameters = ActivationParameters(slope, offset, 0.5)
    less, more = (float(parameters.probability(scores(fearful=one, sad=1 - one))) for one in sorted(shares))
    assert 0 <= less <= more <= 1


@pytest.mark.parametrize(
    ("probability", "level"),
    [(0.0, "low"), (0.25, "low"), (0.2501, "unknown"), (0.5, "unknown"), (0.7499, "unknown"), (0.75, "high")],
)
def test_the_level_is_unknown_where_neither_is_likely_enough(probability: float, level: str) -> None:
    assert ActivationParameters(**GOOD).level(probability) == level


def test_the_probability_is_that_of_high_arousal_for_each_level() -> None:
    cautious = ActivationParameters(slope=1.0, offset=0.0, unknown_below=0.7)
    found = [cautious.decide(scores(happy=share, neutral=1 - share)) for share in (0.1, 0.4, 0.9)]
    assert [one.level for one in found] == ["low", "unknown", "high"]
    assert [one.probability for one in found] == pytest.approx([0.1, 0.4, 0.9])


def test_parameters_survive_as_plain_data() -> None:
    made = ActivationParameters.from_mapping(GOOD)
    assert made == ActivationParameters(slope=1.5, offset=-0.25, unknown_below=0.75)
    assert made.to_mapping() == GOOD
    whole = ActivationParameters.from_mapping({"slope": 100, "offset": -100, "unknown_below": 1})
    assert [type(value) for value in whole.to_mapping().values()] == [float] * 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"slope": 0}, "slope above 0"),
        ({"slope": -1}, "from 0 to 100 as slope, found -1"),
        ({"slope": 100.1}, "as slope"),
        ({"slope": True}, "as slope"),
        ({"slope": "1"}, "as slope, found '1'"),
        ({"offset": float("nan")}, "from -100 to 100 as offset"),
        ({"offset": 10**400}, "as offset"),
        ({"offset": -101}, "as offset"),
        ({"unknown_below": 0.49}, "from 0.5 to 1 as unknown_below"),
        ({"unknown_below": 1.01}, "as unknown_below"),
        ({"unknown_below": None}, "as unknown_below"),
    ],
)
def test_impossible_parameters_are_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=f"^activation: expected .*{words}"):
        ActivationParameters.from_mapping(GOOD | change)
