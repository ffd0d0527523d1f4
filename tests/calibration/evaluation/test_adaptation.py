"""`ser-calibrate adaptation`: orders of utterances, paired gains, intervals, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ser_calibration.cli.main import main
from ser_calibration.evaluation.scenarios import (
    MIXED,
    MOSTLY_NEUTRAL,
    OTHER_SPEAKER,
    SCENARIOS,
    SCORED,
    WARM_UP,
    UtteranceOrder,
    draw_orders,
)
from ser_model.labels import LABELS
from support.run_folder import make_corpus, make_run

pytest.importorskip("torch", reason="the train extra is not installed")

from ser_calibration.evaluation import adaptation, run_data
from ser_calibration.evaluation.ablations import ABLATIONS
from ser_calibration.evaluation.adaptation import class_mean_logits_without
from ser_calibration.evaluation.paired_gains import PairedPredictions, bootstrap_interval, summarise, with_baseline
from ser_model import Model
from ser_model.adaptation.adaptation import Adaptation, AdaptationStrength
from ser_model.errors import SerError
from ser_model.training.calibration import read_calibration, read_class_mean_logits
from ser_model.training.calibration_files import ADAPTATION_FILE, CONFIDENCE_FILE
from ser_model.training.data.corpus import ACTORS as EVERYBODY
from ser_model.training.data.corpus import TEST_ACTORS, VALIDATION_ACTORS
from ser_model.training.data.dataset import Dataset
from ser_model.training.folds.predictions import Predictions
from ser_model.training.folds.run_folder import RunFolder, final_digest

ACTORS = np.repeat([1, 2, 3], 60)
EMOTIONS = np.tile(np.repeat(np.arange(8), [4, 8, 8, 8, 8, 8, 8, 8]), 3)
USABLE = np.ones(180, dtype=bool)


def orders(count: int = 20, seed: int = 1) -> list[UtteranceOrder]:
    return list(draw_orders(1, (1, 2, 3), ACTORS, EMOTIONS, USABLE, count, np.random.default_rng(seed)))


def test_every_order_has_twenty_and_forty_utterances_and_is_reproducible() -> None:
    drawn = orders()
    assert {order.scenario for order in drawn} == set(SCENARIOS)
    assert {order.utterances.shape for order in drawn} == {(WARM_UP + SCORED,)}
    again = orders()
    assert all(np.array_equal(one.utterances, other.utterances) for one, other in zip(drawn, again, strict=True))


def test_scored_utterances_are_the_actors_own_and_no_warm_up() -> None:
    for order in orders():
        first, scored = order.utterances[:WARM_UP], order.utterances[WARM_UP:]
        assert not set(first) & set(scored)
        assert set(ACTORS[scored]) == {1}
        if order.scenario != MOSTLY_NEUTRAL:
            assert len(set(scored)) == SCORED


def test_scenarios_match_their_names() -> None:
    for order in orders():
        first = order.utterances[:WARM_UP]
        if order.scenario == OTHER_SPEAKER:
            assert 1 not in ACTORS[first]
        elif order.scenario == MOSTLY_NEUTRAL:
            assert np.mean(EMOTIONS[first] == 0) == pytest.approx(0.7)
            assert np.mean(EMOTIONS[order.utterances[WARM_UP:]] == 0) == pytest.approx(0.7)
        elif order.scenario == MIXED:
            assert len(set(order.utterances)) == 60
        else:
            assert {f"{LABELS[emotion]} first" for emotion in EMOTIONS[first]} == {order.scenario}


def test_recordings_that_the_gate_missed_are_left_out() -> None:
    usable = np.arange(180) % 7 != 0
    drawn = draw_orders(1, (1, 2), ACTORS, EMOTIONS, usable, 5, np.random.default_rng(1))
    assert all(usable[order.utterances].all() for order in drawn)


def test_a_gain_is_the_mean_over_actors_of_the_same_utterances() -> None:
    predictions = []
    for scenario in SCENARIOS:
        for actor, right in ((1, 40), (2, 20)):
            truth = np.tile(np.arange(8), 5)
            wrong = (truth + 1) % 8
            adapted = np.where(np.arange(40) < right, truth, wrong)
            predictions.append(PairedPredictions(UtteranceOrder(scenario, actor, np.arange(60)), truth, wrong, adapted))
    figures = summarise(predictions)[MIXED]
    assert figures["uar_without"] == 0
    assert figures["gain"] == pytest.approx(75, abs=2.5)
    assert figures["low"] < 60
    assert figures["high"] == pytest.approx(100)


def test_the_interval_has_about_its_nominal_coverage() -> None:
    rng = np.random.default_rng(3)
    covered = [low <= 1 <= high for low, high in (bootstrap_interval(rng.normal(1, 2, 24)) for _ in range(200))]
    assert 0.88 <= np.mean(covered) <= 0.99


def test_two_adaptations_are_compared_on_the_same_utterances() -> None:
    truth = np.tile(np.arange(8), 5)
    wrong = (truth + 1) % 8
    one, other = (
        [
            PairedPredictions(UtteranceOrder(scenario, 1, np.arange(60)), truth, wrong, predicted)
            for scenario in SCENARIOS
        ]
        for predicted in (truth, wrong)
    )
    assert summarise(with_baseline(one, other))[MIXED]["gain"] == 100
    assert summarise(with_baseline(one, one))[MIXED]["gain"] == 0


def test_a_frozen_profile_learns_from_the_first_utterances_and_no_profile_from_the_others() -> None:
    metadata = Model.load().metadata
    logits = np.random.default_rng(4).normal(size=(WARM_UP + SCORED, 8)).astype(np.float32)

    def learn(adaptation: Adaptation, rows: np.ndarray) -> np.ndarray:
        for row in rows:
            adaptation.learn(np.zeros(46), 300, row)
        return adaptation.offset.logits

    frozen, no_profile = (kind(metadata) for kind in ABLATIONS.values())
    first = learn(Adaptation(metadata), logits[:WARM_UP])
    np.testing.assert_array_equal(learn(frozen, logits[:WARM_UP]), first)
    np.testing.assert_array_equal(learn(frozen, logits[WARM_UP:]), first)
    assert not learn(no_profile, logits[:WARM_UP]).any()
    np.testing.assert_array_equal(learn(no_profile, logits[WARM_UP:]), learn(Adaptation(metadata), logits[WARM_UP:]))


@pytest.mark.slow
def test_a_corpus_without_all_emotions_is_rejected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = make_corpus(tmp_path / "corpus")
    run = make_run(corpus, tmp_path / "run")
    assert main(["adaptation", str(run), "--data", str(corpus), "--orders", "1"]) == 2
    error = capsys.readouterr().err
    assert "expected recordings of all eight emotions" in error
    assert error.count("\n") == 1
    assert not (run / "adaptation.json").exists()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run with each emotion of 24 actors twice, as frames of noise."""
    folder = make_run(make_corpus(tmp_path / "corpus"), tmp_path / "runs" / "one")
    rows = [[f"{actor}-{at}", at % 8, actor] for actor in EVERYBODY for at in range(16)]
    (folder / "recordings.json").write_text(json.dumps(rows))
    rng = np.random.default_rng(1)
    frames = [[rng.normal(size=(3, 46)).astype(np.float32)] for _ in rows]
    monkeypatch.setattr(RunFolder, "corpus", lambda *_: None)
    dataset = Dataset((), frames, np.ones(len(rows), np.int64), [np.arange(3)] * len(rows))
    monkeypatch.setattr(run_data, "build", lambda *_, **__: dataset)
    return folder


def test_the_command_writes_what_export_reads(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(adaptation, "STRENGTHS", {"as shipped": AdaptationStrength()})
    (run / CONFIDENCE_FILE).write_text(
        json.dumps({"fitted": {"temperature": 1.5, "short_temperature": 2.0, "unknown_below": 0.4}})
    )
    before = read_calibration(run, final_digest(run))
    assert before is not None
    assert before.class_mean_logits is None
    assert main(["adaptation", str(run), "--data", "here", "--orders", "1", "--validation"]) == 0
    assert read_class_mean_logits(run) is None
    assert main(["adaptation", str(run), "--data", "here", "--orders", "1"]) == 0
    assert "mixed" in capsys.readouterr().out
    fitted = read_calibration(run, final_digest(run))
    assert fitted is not None
    assert fitted.class_mean_logits is not None
    # The network of each fold always predicts the fold's number: five classes are predicted, three never.
    table = np.array(fitted.class_mean_logits)
    assert np.diag(table)[:5].min() > 4
    np.testing.assert_allclose(table.sum(axis=1), 0, atol=1e-3)
    # Files of earlier versions hold figures alone; they are not damaged.
    figures = json.loads((run / ADAPTATION_FILE).read_text())
    assert [row["setting"] for row in figures["rows"]] == [
        "as shipped",
        "a frozen profile",
        "as shipped against a frozen profile",
        "no profile",
        "as shipped against no profile",
    ]
    (run / ADAPTATION_FILE).write_text(json.dumps({"rows": figures["rows"]}))
    assert read_class_mean_logits(run) is None


@pytest.mark.parametrize("content", ["{", "1", '{"typical_logits": [[1.0]]}', '{"typical_logits": null}'])
def test_a_damaged_table_is_one_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / ADAPTATION_FILE).write_text(content)
    with pytest.raises(SerError, match=r"adaptation\.json: is damaged .* again$") as caught:
        read_class_mean_logits(tmp_path)
    assert "\n" not in str(caught.value)


def test_an_actors_own_logits_are_left_out_of_the_table_that_measures_him(run: Path) -> None:
    opened = RunFolder.open(run)
    owner = np.flatnonzero(np.isin(opened.actors, VALIDATION_ACTORS))
    logits = np.random.default_rng(2).normal(size=(len(owner), 8))
    for actors in TEST_ACTORS:
        theirs = np.isin(opened.actors[owner], actors)
        assert 0 < theirs.sum() < len(owner)
        louder = np.where(theirs[:, None], 20 * logits, logits)
        tables = [
            class_mean_logits_without(
                opened, Predictions(owner, one, np.zeros((len(owner), 4), np.float32), np.zeros_like(owner)), actors
            )
            for one in (logits, louder)
        ]
        assert tables[0] == tables[1]


def test_bad_input_gets_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["adaptation", str(tmp_path), "--data", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ser-calibrate: ")
    assert error.count("\n") == 1
    assert json.dumps(str(tmp_path))[1:-1] in error
