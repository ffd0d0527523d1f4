"""Confidence: metrics against known results, and temperatures fitted without the actors that they are measured on."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from support.run_folder import make_corpus, make_run

for module in ("torch", "scipy", "onnx"):
    pytest.importorskip(module, reason="the train extra is not installed")

from ser_calibration.cli.main import main  # noqa: E402
from ser_calibration.evaluation.calibration_methods import METHODS, compare_methods  # noqa: E402
from ser_calibration.evaluation.confidence import measure_by_voiced, measure_kind  # noqa: E402
from ser_calibration.evaluation.metrics import (  # noqa: E402
    brier_score,
    chance_calibration_error,
    expected_calibration_error,
    log_loss,
    reliability_bins,
    risk_coverage,
)
from ser_calibration.evaluation.temperatures import fit_folds, fit_temperatures  # noqa: E402
from ser_model.errors import SerError  # noqa: E402
from ser_model.scoring.temperature import LONG, SHORT  # noqa: E402
from ser_model.training.calibration import read_calibration  # noqa: E402
from ser_model.training.calibration_files import CONFIDENCE_FILE, UNKNOWN_FILE  # noqa: E402
from ser_model.training.data.corpus import ACTORS, TEST_ACTORS, VALIDATION_ACTORS  # noqa: E402
from ser_model.training.folds.jobs import FINAL, FOLDS  # noqa: E402
from ser_model.training.folds.predictions import Predictions, excluded_speakers  # noqa: E402
from ser_model.training.folds.run_folder import RunFolder, final_digest  # noqa: E402
from ser_model.training.scores import posterior  # noqa: E402


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus"))


def two_classes(confidence: np.ndarray) -> np.ndarray:
    return np.stack([confidence, 1 - confidence], axis=1)


def drawn(count: int, seed: int = 0, spread: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits and a truth drawn from their softmax."""
    rng = np.random.default_rng(seed)
    logits = spread * rng.standard_normal((count, 8))
    return logits, (posterior(logits).cumsum(axis=1) > rng.random((count, 1))).argmax(axis=1)


def test_the_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    truth = np.array([0] * 70 + [1] * 30)
    assert (
        expected_calibration_error(two_classes(np.full(100, 0.9)), truth[np.random.default_rng(0).permutation(100)])
        > 0.19
    )
    calibrated = np.repeat([0.6, 0.8], 5000)
    outcomes = (np.random.default_rng(1).random(10_000) > calibrated).astype(np.int64)
    assert expected_calibration_error(two_classes(calibrated), outcomes) < 0.03
    assert expected_calibration_error(two_classes(calibrated * 0 + 0.99), outcomes) == pytest.approx(0.29, abs=0.01)


def test_the_bins_hold_equal_numbers_and_rise() -> None:
    logits, truth = drawn(1000)
    rows = reliability_bins(posterior(logits), truth)
    assert len(rows) == 15
    assert {row["answers"] for row in rows} <= {66, 67}
    confidences = [row["confidence"] for row in rows]
    assert confidences == sorted(confidences)
    assert len(reliability_bins(posterior(logits[:4]), truth[:4])) == 4


def test_the_calibration_error_by_chance_shrinks_with_the_number_of_answers() -> None:
    few, many = (posterior(drawn(count)[0]) for count in (300, 30_000))
    assert chance_calibration_error(few) > 5 * chance_calibration_error(many) > 0
    logits, truth = drawn(3000)
    assert expected_calibration_error(posterior(logits), truth) == pytest.approx(
        chance_calibration_error(posterior(logits)), abs=0.012
    )


def test_proper_scores_have_known_values() -> None:
    sure, even = two_classes(np.array([1.0])), two_classes(np.array([0.5]))
    right, wrong = np.array([0]), np.array([1])
    assert (brier_score(sure, right), brier_score(sure, wrong), brier_score(even, right)) == (0, 2, 0.5)
    assert log_loss(even, right) == pytest.approx(np.log(2))
    assert log_loss(sure, wrong) > 20


def test_accuracy_on_the_more_confident_half() -> None:
    probabilities = two_classes(np.array([0.9, 0.8, 0.6, 0.55]))
    curve = {row["coverage"]: row["accuracy"] for row in risk_coverage(probabilities, np.array([0, 0, 1, 1]))}
    assert (curve[0.5], curve[1.0]) == (1.0, 0.5)


def test_every_method_inverts_distortions_within_its_model() -> None:
    logits, truth = drawn(4000)
    shift = np.array([2.0, 0, 0, 0, 0, 0, 0, -2.0])
    fresh, known = drawn(4000, seed=1)
    optimal = log_loss(posterior(fresh), known)
    for method, disturb in (("temperature", lambda x: 3 * x), ("vector", lambda x: 3 * x + shift)):
        found = METHODS[method](disturb(logits), truth)
        assert log_loss(found(disturb(fresh)), known) == pytest.approx(optimal, abs=0.02)
    assert log_loss(METHODS["temperature"](3 * logits + shift, truth)(3 * fresh + shift), known) > optimal + 0.025
    curves = METHODS["isotonic"](3 * logits, truth)(3 * fresh)
    np.testing.assert_allclose(curves.sum(axis=1), 1)
    assert log_loss(curves, known) < log_loss(posterior(3 * fresh), known) - 0.1


def test_methods_are_compared_on_actors_left_out() -> None:
    logits, truth = drawn(1200)
    shift = np.array([3.0, 0, 0, 0, 0, 0, 0, -3.0])
    rows = compare_methods(logits + shift, truth, np.repeat(np.arange(6), 200))
    assert rows["temperature"]["gain"] == 0
    assert rows["vector"]["gain"] > 3 * rows["vector"]["error"] > 0


def answers(run: RunFolder, actors: tuple[int, ...], factor: float, seed: int, voiced: int = LONG) -> Predictions:
    owner = np.flatnonzero(np.isin(run.actors, actors))
    owner = np.tile(owner, 60)
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((len(owner), 8))
    logits[np.arange(len(owner)), run.emotions[owner]] += 1.5
    return Predictions(owner, logits * factor, np.zeros((len(owner), 4), np.float32), np.full(len(owner), voiced))


def test_both_temperatures_are_found_from_answers_after_much_and_little_speech(corpus: Path, tmp_path: Path) -> None:
    run = RunFolder.open(make_run(corpus, tmp_path / "run"))
    alike = fit_temperatures([answers(run, ACTORS, 2.0, 0)], run.emotions).long
    much, little = answers(run, ACTORS, 2.0, 0), answers(run, ACTORS, 6.0, 0, voiced=SHORT)
    fitted = fit_temperatures([much, little], run.emotions)
    assert fitted.long == pytest.approx(alike, rel=0.02)
    assert fitted.short == pytest.approx(3 * alike, rel=0.02)


def test_no_actor_contributes_to_the_temperature_that_measures_him(corpus: Path, tmp_path: Path) -> None:
    run = RunFolder.open(make_run(corpus, tmp_path / "run"))
    validation = [answers(run, actors, 2.0, fold) for fold, actors in enumerate(VALIDATION_ACTORS)]
    before = [one.long for one in fit_folds(run, [[validation]])]
    # Actors 1 and 14, tested in folds 4 and 0, get logits that are far too large.
    validation[3] = dataclasses.replace(validation[3], logits=validation[3].logits * 20)
    after = [one.long for one in fit_folds(run, [[validation]])]
    assert all(after[fold] > 1.5 * before[fold] for fold in (1, 2, 3, -1))
    for fold in FOLDS:
        some = excluded_speakers(run, Predictions.join(validation), fold)
        assert len(some.owner) > 0
        assert not set(run.actors[some.owner].tolist()) & set(TEST_ACTORS[fold])


def test_temperatures_improve_the_figures_of_overconfident_networks(corpus: Path, tmp_path: Path) -> None:
    run = RunFolder.open(make_run(corpus, tmp_path / "run"))
    validation = [answers(run, actors, 6.0, fold) for fold, actors in enumerate(VALIDATION_ACTORS)]
    test = [answers(run, actors, 6.0, 10 + fold) for fold, actors in enumerate(TEST_ACTORS)]
    temperatures = fit_folds(run, [[validation]])
    row = measure_kind(run, temperatures, [test])
    for name in ("ece", "nll", "brier"):
        assert row["after"][name] < row["before"][name]
    assert row["after"]["accuracy"] == row["before"]["accuracy"]
    assert sum(part["answers"] for part in row["after"]["reliability"]) == row["after"]["answers"]
    heard = measure_by_voiced(run, temperatures, [[test]])
    assert [part["up_to_seconds"] for part in heard] == [2.0]
    assert abs(heard[0]["after"] - heard[0]["accuracy"]) < 0.1 < heard[0]["before"] - heard[0]["accuracy"]


def test_the_command_writes_what_export_reads(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(corpus, tmp_path / "runs" / "one", seeds=2)
    assert read_calibration(run, final_digest(run)) is None
    assert main(["confidence", str(run), "--data", str(corpus), "--seeds", "1"]) == 0
    out = capsys.readouterr().out
    assert "ECE" in out
    result = json.loads((run / CONFIDENCE_FILE).read_text())
    assert result["seeds"] == [0]
    assert set(result["measured"]) == {"utterance", "window", "full_window", "live_window"}
    fitted = read_calibration(run, final_digest(run))
    assert fitted is not None
    assert fitted.temperature == round(result["fitted"]["temperature"], 4)
    assert fitted.ood is None


def test_what_was_measured_for_another_final_network_is_not_exported(corpus: Path, tmp_path: Path) -> None:
    run = make_run(corpus, tmp_path / "one")
    values = {"temperature": 1.5, "short_temperature": 2.0, "unknown_below": 0.4}
    (run / CONFIDENCE_FILE).write_text(json.dumps({"fitted": values}))
    (run / f"{FINAL.name}.pt").write_bytes(b"weights")
    energy = {"method": "energy", "limit": -1.0, "window_limit": -0.5}
    (run / UNKNOWN_FILE).write_text(json.dumps({"final": {"sha256": final_digest(run), "unlike_speech": energy}}))
    fitted = read_calibration(run, final_digest(run))
    assert fitted is not None
    assert fitted.ood is not None
    assert (fitted.short_temperature, fitted.ood.limit) == (2.0, -1.0)
    (run / f"{FINAL.name}.pt").write_bytes(b"other weights")
    again = read_calibration(run, final_digest(run))
    assert again is not None
    assert again.ood is None
    (run / CONFIDENCE_FILE).write_text("{}")
    with pytest.raises(SerError, match="is damaged"):
        read_calibration(run, final_digest(run))


@pytest.fixture
def runs(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run, and one that lacks a network, in the current folder."""
    monkeypatch.chdir(tmp_path)
    make_run(corpus, Path("run"))
    make_run(corpus, Path("incomplete"))
    Path("incomplete/seed0-fold0-validation.pt").unlink()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["confidence", "nowhere", "--data", "here"], "nowhere: expected the --output folder of `ser-model train`"),
        (["smoothing", "nowhere", "--data", "here"], "nowhere: expected the --output folder of `ser-model train`"),
        (["unknown", "run", "--data", "DATA", "--noise", "nowhere"], "nowhere: expected a folder of WAV or FLAC"),
        (["confidence", "run", "--data", "DATA", "--seeds", "3"], "run: expected 3 seeds"),
        (["confidence", "incomplete", "--data", "DATA"], "incomplete/seed0-fold0-validation.pt is missing"),
    ],
)
@pytest.mark.usefixtures("runs")
def test_bad_input_gets_one_sentence(
    arguments: list[str], sentence: str, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(corpus) if part == "DATA" else part for part in arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"ser-calibrate: {sentence}")
    assert error.count("\n") == 1
