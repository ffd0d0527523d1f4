"""`ser-model` from a folder of recordings to a model that the daemon loads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ser_model import Model
from ser_model.cli.main import main
from ser_model.training.calibration_files import ADAPTATION_FILE
from ser_model.training.data.corpus import ACTORS, NEVER_VALIDATING, TEST_ACTORS, VALIDATION_ACTORS, find_recordings
from ser_model.training.folds.jobs import FOLDS, Job
from support.run_folder import make_corpus

for module in ("torch", "scipy", "onnx"):
    pytest.importorskip(module, reason="the train extra is not installed")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four sentences for every actor."""
    return make_corpus(tmp_path_factory.mktemp("corpus"), (1, 3, 5, 7))


def test_the_folds_are_the_papers() -> None:
    assert sorted(actor for fold in TEST_ACTORS for actor in fold) == list(range(1, 25))
    assert sorted(NEVER_VALIDATING) == [4, 7, 9, 12, 13, 15, 16, 18, 19, 20, 21, 22, 23, 24]
    for test, validation in zip(TEST_ACTORS, VALIDATION_ACTORS, strict=True):
        assert not set(test) & set(validation)


def test_no_network_is_evaluated_on_an_actor_it_is_trained_on() -> None:
    for fold in FOLDS:
        validation, test = (Job(0, fold, split) for split in ("validation", "test"))
        assert set(validation.held_out_speakers) == {*TEST_ACTORS[fold], *VALIDATION_ACTORS[fold]}
        assert set(test.held_out_speakers) == set(test.evaluated_speakers) == set(TEST_ACTORS[fold])
        assert set(validation.evaluated_speakers) == set(VALIDATION_ACTORS[fold])
    assert Job(0, 0, "final").evaluated_speakers == Job(0, 0, "final").held_out_speakers == ()


@pytest.mark.parametrize("split", ["validation", "test", "final"])
def test_teachers_are_trained_neither_on_the_actors_they_predict_nor_on_those_of_their_pupil(split: str) -> None:
    for fold in FOLDS:
        pupil = Job(3, fold, split)
        taught = [actor for teacher in pupil.teachers if teacher.seed == 0 for actor in teacher.evaluated_speakers]
        assert sorted(taught) == sorted(set(ACTORS) - set(pupil.held_out_speakers))
        for teacher in pupil.teachers:
            assert set(teacher.held_out_speakers) == {*pupil.held_out_speakers, *teacher.evaluated_speakers}
            assert not teacher.teachers


def test_no_network_is_trained_on_an_actor_that_is_left_out() -> None:
    assert Job(0, 6, "actor").evaluated_speakers == Job(0, 6, "actor").held_out_speakers == (7,)


def test_train_evaluate_export_and_load(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "runs" / "one"
    train = ["train", "--data", str(corpus), "--output", str(run), "--epochs", "1", "--variants", "1"]
    assert main([*train, "--allow-missing"]) == 0
    result = json.loads((run / "evaluation.json").read_text())
    assert result["recordings"] == 96
    assert 0 <= result["summary"]["uar"]["mean"] <= 1
    assert np.sum(result["confusion"]["counts"]) == 96
    assert "pooled out-of-fold" in capsys.readouterr().out

    times = {path: path.stat().st_mtime_ns for path in run.glob("*.npz")}
    assert len(times) == 10 + 80
    with np.load(run / "seed0-fold0-test.npz") as file:
        assert file["curve"].shape == (1, 3)
    (run / "seed0-fold3-test.npz").unlink()
    assert main([*train, "--allow-missing"]) == 0
    again = {path: path.stat().st_mtime_ns for path in run.glob("*.npz")}
    assert [path.name for path in times if again[path] != times[path]] == ["seed0-fold3-test.npz"]

    before = json.loads((run / "evaluation.json").read_text())
    assert main(["evaluate", str(run), "--data", str(corpus)]) == 0
    assert json.loads((run / "evaluation.json").read_text()) == before

    assert main(["export", str(run)]) == 2
    assert "--final" in capsys.readouterr().err
    assert main([*train, "--allow-missing", "--final"]) == 0
    (run / ADAPTATION_FILE).write_text(json.dumps({"typical_logits": np.eye(8).tolist()}))
    assert main(["export", str(run)]) == 0
    model = Model.load(run / "reslstm-sa-h64")
    assert model.metadata.licence == "CC BY-NC-SA 4.0"
    np.testing.assert_array_equal(model.metadata.typical_logits, np.eye(8))

    generalise = ["generalise", str(run), "--data", str(corpus)]
    assert main([*generalise, "--noise", "nowhere"]) == 2
    assert "nowhere: expected a folder of WAV or FLAC files" in capsys.readouterr().err
    assert main(generalise) == 0
    assert len(json.loads((run / "generalisation.json").read_text())["leave_one_actor_out"]["actors"]) == 24
    assert "leave one actor out" in capsys.readouterr().out

    assert main([*train[:-1], "2", "--allow-missing"]) == 2
    assert "other settings" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train", "--data", "nowhere", "--output", "out"], "nowhere: expected the RAVDESS folder"),
        (["train", "--data", "empty", "--output", "out"], "empty: found no recording"),
        (["evaluate", "empty"], "empty: expected the --output folder of `ser-model train`"),
        (["export", "nowhere"], "nowhere: expected the --output folder of `ser-model train`"),
    ],
)
def test_invalid_input_is_reported_in_one_sentence(
    arguments: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"ser-model: {sentence}")
    assert error.count("\n") == 1


def test_an_incomplete_corpus_is_reported(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    some = tmp_path / "some"
    shutil.copytree(corpus / "Actor_02", some / "Actor_02")
    (some / "Actor_02" / "notes.txt").write_text("not a recording")
    assert len(find_recordings(some).recordings) == 4
    assert main(["train", "--data", str(some), "--output", str(tmp_path / "run")]) == 2
    assert "4 of 1440 recordings are there, incomplete are the actors 01, 02, 03" in capsys.readouterr().err
