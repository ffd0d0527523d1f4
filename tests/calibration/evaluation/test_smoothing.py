"""`ser-calibrate smoothing`: changes, delay and the choice of settings, on scripted scores and on a run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from support.run_folder import make_corpus, make_run

for module in ("torch", "scipy", "onnx"):
    pytest.importorskip(module, reason="the train extra is not installed")

from ser_calibration.cli.main import main  # noqa: E402
from ser_calibration.evaluation.smoothing import KINDS, SETTINGS, ScoredTrack, choose, measure  # noqa: E402
from ser_model.config import DecisionConfig  # noqa: E402
from ser_model.training.experiments import long_speech  # noqa: E402

STEP = DecisionConfig().update_ms / 1000


def scored(labels: list[int], truth: list[int], utterance: list[int] | None = None) -> ScoredTrack:
    scores = np.full((len(labels), 8), 0.3 / 7)
    scores[np.arange(len(labels)), labels] = 0.7
    return ScoredTrack(scores, np.array(truth), np.array(utterance or [0] * len(labels)))


def test_changes_and_delay_are_counted_in_seconds_of_speech() -> None:
    row = measure([scored([1, 2, 3, 3], [3, 3, 3, 3])], SETTINGS["none"])
    assert row["changes"] == pytest.approx(2 / (4 * STEP))
    assert row["delay"] == pytest.approx(2 * STEP)
    assert (row["reached"], row["right"], row["needed"]) == (1.0, 0.5, 0.0)


def test_without_a_right_label_the_delay_is_the_utterances_length() -> None:
    row = measure([scored([1, 1, 1], [3, 3, 3]), scored([3], [3])], SETTINGS["none"])
    assert row["delay"] == pytest.approx((3 * STEP + 0) / 2)
    assert row["reached"] == 0.5


def test_every_utterance_of_a_changing_track_has_its_own_delay() -> None:
    row = measure([scored([1, 1, 1, 2, 2], [1, 1, 2, 2, 2], [0, 0, 1, 1, 1])], SETTINGS["none"])
    assert row["delay"] == pytest.approx((0 + STEP) / 2)
    assert row["needed"] == pytest.approx(1 / (5 * STEP))


def test_more_smoothing_is_steadier_and_slower() -> None:
    flicker = [scored([1, 2, 1, 2, 1, 2, 2, 2, 2, 2], [2] * 10)]
    rows = [measure(flicker, SETTINGS[name]) for name in ("none", "exponential 0.5", "exponential 0.9")]
    assert rows[0]["changes"] > rows[1]["changes"] >= rows[2]["changes"]
    assert rows[0]["delay"] <= rows[1]["delay"] < rows[2]["delay"]


def test_the_fewest_changes_within_a_point_of_the_best_are_chosen() -> None:
    figures = {kind: {name: {"right": 0.3, "changes": 0.0} for name in SETTINGS} for kind in KINDS}
    for kind in KINDS:
        figures[kind]["none"] = {"right": 0.505, "changes": 1.0}
        figures[kind]["margin 0.1"] = {"right": 0.500, "changes": 0.5}
        figures[kind]["3 updates"] = {"right": 0.490, "changes": 0.1}
    assert choose(figures) == "margin 0.1"


def test_the_command_prints_and_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # One track for each actor is enough; computing features takes most of the time.
    monkeypatch.setattr(long_speech, "CHANGING_PER_ACTOR", 1)
    monkeypatch.setattr(long_speech, "SAME_PER_EMOTION", 1)
    corpus = make_corpus(tmp_path / "corpus")
    run = make_run(corpus, tmp_path / "runs" / "one")
    assert main(["smoothing", str(run), "--data", str(corpus), "--workers", "1"]) == 0
    assert "changes a second" in capsys.readouterr().out
    written = json.loads((run / "smoothing.json").read_text())
    assert written["best"] in SETTINGS
    for split in ("validation", "test"):
        # Each network always predicts one class: no label changes, and all are right or none.
        for row in written[split]["utterances"].values():
            assert row["changes"] == 0
            assert row["reached"] == pytest.approx(row["right"], abs=0.05)
