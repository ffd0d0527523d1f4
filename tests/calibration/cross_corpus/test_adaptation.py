"""What strangers say in a row: who speaks, how much of it is neutral, and that nothing is scored that was learned."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="the train extra is not installed")

from ser_calibration.cross_corpus.adaptation import SCORED, WARM_UP, draw_orders
from ser_model.labels import LABELS

NEUTRAL = LABELS.index("neutral")


@pytest.fixture(scope="module")
def speech() -> tuple[np.ndarray, np.ndarray]:
    """Three speakers with 40 recordings of four emotions each, and one with too few."""
    speakers = np.array([f"c/{name}" for name in "abc" for _ in range(40)] + ["c/few"] * 5)
    truth = np.array([(0, 2, 3, 4)[at % 4] for at in range(len(speakers))])
    return speakers, truth


def test_every_order_is_a_warm_up_and_what_is_scored(speech: tuple[np.ndarray, np.ndarray]) -> None:
    speakers, truth = speech
    orders = list(draw_orders(speakers, truth))
    assert {one.scenario for one in orders} == {
        "mixed",
        "70% neutral",
        "90% neutral",
        "one emotion first",
        "somebody else first",
    }
    for one in orders:
        assert len(one.rows) == WARM_UP + SCORED
        learned, scored = one.rows[:WARM_UP], one.rows[WARM_UP:]
        assert not set(learned) & set(scored)
        assert len(set(speakers[scored])) == 1
        assert "c/few" not in set(speakers[one.rows])
        same = set(speakers[learned]) == set(speakers[scored])
        assert same != (one.scenario == "somebody else first")


@pytest.mark.parametrize(("scenario", "share"), [("70% neutral", 0.7), ("90% neutral", 0.9)])
def test_the_share_of_neutral_speech(speech: tuple[np.ndarray, np.ndarray], scenario: str, share: float) -> None:
    speakers, truth = speech
    for one in draw_orders(speakers, truth):
        if one.scenario == scenario:
            for rows in (one.rows[:WARM_UP], one.rows[WARM_UP:]):
                assert np.mean(truth[rows] == NEUTRAL) == pytest.approx(share)


def test_one_emotion_first_is_one_emotion(speech: tuple[np.ndarray, np.ndarray]) -> None:
    speakers, truth = speech
    first = [truth[one.rows[:WARM_UP]] for one in draw_orders(speakers, truth) if one.scenario == "one emotion first"]
    assert {len(set(rows)) for rows in first} == {1}
    assert {int(rows[0]) for rows in first} == {0, 2, 3, 4}
