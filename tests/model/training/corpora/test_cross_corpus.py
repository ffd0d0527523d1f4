"""`ser-model train --corpus` and `ser-model cross-corpus`, from folders to figures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ser_model.cli.main import main
from ser_model.labels import LABELS
from ser_model.training.data.corpus_folder import open_corpus
from support.corpora import make_corpus
from support.speech import sentence

for module in ("torch", "scipy", "onnx", "matplotlib"):
    pytest.importorskip(module, reason="the train extra is not installed")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two corpora with all classes, and one of a single speaker with ordinary speech."""
    root = tmp_path_factory.mktemp("corpora")
    for name in ("one", "two"):
        make_corpus(root / name, ("a", "b"), LABELS, sound=sentence())
    make_corpus(root / "mine", ("me",), ("happy", "none"), sound=sentence())
    return root


def options(folders: Path, run: Path, *names: str) -> list[str]:
    corpora = [text for name in names for text in ("--corpus", f"{name}={folders / name}")]
    return [*corpora, "--output", str(run), "--epochs", "1", "--variants", "1", "--variant", "h32"]


def test_every_corpus_is_answered_by_a_network_that_never_heard_it(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "runs" / "cross"
    command = ["cross-corpus", *options(folders, run, "one", "two", "mine"), "--seeds", "2"]
    assert main(command) == 0
    assert "h32, each corpus held out" in capsys.readouterr().out
    result = json.loads((run / "cross_corpus.json").read_text())
    assert [row["corpus"] for row in result["corpora"]] == ["one", "two", "mine"]
    assert [row["recordings"] for row in result["corpora"]] == [16, 16, 2]
    assert [len(row["seeds"]) for row in result["corpora"]] == [2, 2, 2]
    assert np.sum(result["corpora"][0]["confusion"]) == 2 * 16
    assert result["corpora"][2]["ordinary"]["utterances"] == 1
    with np.load(run / "seed1-without-two.npz") as file:
        assert file["index"].tolist() == list(range(16, 32))

    times = {path: path.stat().st_mtime_ns for path in run.glob("*.npz")}
    assert len(times) == 6
    (run / "seed0-without-one.npz").unlink()
    assert main(command) == 0
    again = {path: path.stat().st_mtime_ns for path in run.glob("*.npz")}
    assert [path.name for path in times if again[path] != times[path]] == ["seed0-without-one.npz"]
    assert json.loads((run / "cross_corpus.json").read_text()) == result

    assert main([*command, "--votes", "0.5"]) == 2
    assert "other settings" in capsys.readouterr().err


def test_a_network_never_learns_from_a_speaker_that_it_answers_for(folders: Path, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "folds"
    more = ["--ordinary-as-neutral", "--examples", "mine=8", "--variants", "0"]
    assert main(["train", *options(folders, run, "one", "two", "mine"), *more]) == 0
    speakers = [one.speaker for name in ("one", "two", "mine") for one in open_corpus(folders / name).recordings]
    seen: list[int] = []
    for fold in range(5):
        with np.load(run / f"seed0-fold{fold}.npz") as file:
            index = file["index"].tolist()
        seen.extend(index)
        own = {speakers[at] for at in index}
        assert all(speakers[at] not in own for at in range(len(speakers)) if at not in index)
    assert sorted(seen) == list(range(34))
    assert json.loads((run / "folds.json").read_text())["corpora"][2]["recordings"] == 2

    assert main(["train", *options(folders, run, "one", "two", "mine"), *more, "--final"]) == 0
    assert (run / "seed0-final.pt").exists()


CROSS = ("cross-corpus", "--output", "out")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["cross-corpus", "--output", "out"], "cross-corpus needs --corpus NAME=DIR, at least twice"),
        (["cross-corpus", "--output", "out", "--corpus", "one=all"], "one: is the only corpus"),
        (
            ["cross-corpus", "--output", "out", "--corpus", "one=all", "--corpus", "two=some"],
            "two: no recording is calm",
        ),
        (
            ["cross-corpus", "--output", "out", "--corpus", "one=all", "--corpus", "one=all"],
            "two corpora are called one",
        ),
        (["train", "--output", "out", "--corpus", "two=some"], "two: no recording is calm or happy"),
        (["train", "--output", "out", "--corpus", "two=nowhere"], "nowhere: expected a corpus folder"),
        (["train", "--output", "out"], "train needs --data DIR, the RAVDESS folder, or --corpus NAME=DIR"),
        (["train", "--output", "out", "--data", "x", "--votes", "1"], "--votes is for --corpus"),
        (["train", "--output", "out", "--data", "x", "--corpus", "one=all"], "--data is not for --corpus"),
        (["train", "--output", "out", "--device", "cuda", "--corpus", "one=all"], "--device is only for --data"),
        (["train", "--output", "out", "--corpus", "one=all", "--examples", "two=3"], "--examples two: is none of"),
        (["train", "--output", "out", "--corpus", "one=all", "--only-measure", "two"], "--only-measure two: is none"),
        (["train", "--output", "out", "--corpus", "one=all", "--leave-out", "two/a"], "--leave-out two/a: is of none"),
        (["train", "--output", "out", "--corpus", "one=all", "--leave-out", "one/z"], "--leave-out one/z: all has no"),
        (
            ["train", "--output", "out", "--corpus", "one=all", "--leave-out", "one/a", "--leave-out", "one/b"],
            "--leave-out: nobody is left in all",
        ),
        (["train", "--output", "out", "--corpus", "one=all", "--never", "sad"], "--never sad: one have recordings"),
        (["train", "--output", "out", "--data", "x", "--never", "sad"], "--never is for --corpus"),
        (["train", "--output", "out", "--corpus", "one=all", "--noise", "nowhere"], "nowhere: expected a folder"),
    ],
)
def test_bad_input_is_reported_in_one_sentence(
    arguments: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    make_corpus(tmp_path / "all", emotions=LABELS)
    make_corpus(tmp_path / "some")
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"ser-model: {sentence}")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--corpus", "one"],
        ["--corpus", "a/b=x"],
        ["--corpus", "=x"],
        ["--corpus", "a=x", "--examples", "a"],
        ["--corpus", "a=x", "--examples", "a=0"],
        ["--corpus", "a=x", "--votes", "1.5"],
        ["--corpus", "a=x", "--l2", "-1"],
        ["--corpus", "a=x", "--leave-out", "someone"],
        ["--corpus", "a=x", "--variants", "-1"],
    ],
)
def test_bad_options_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["cross-corpus", "--output", "out", *arguments])
    assert refused.value.code == 2
    assert "expected" in capsys.readouterr().err


def test_from_corpora_to_a_model_that_knows_strangers(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The four commands of the documentation, and what ends up in the model file."""
    from ser_calibration.cli.main import main as calibrate
    from ser_model.network.estimator import Model

    run = tmp_path / "runs" / "world"
    corpora = [*options(folders, run, "one", "two", "mine"), "--ordinary-as-neutral", "--leave-out", "two/b"]
    assert calibrate(["cross-corpus", str(tmp_path)]) == 2
    assert "expected the --output folder of `ser-model cross-corpus`" in capsys.readouterr().err
    assert main(["cross-corpus", *corpora]) == 0
    assert main(["train", *corpora]) == 0
    assert calibrate(["cross-corpus", str(run)]) == 0
    shown = capsys.readouterr().out
    assert "each corpus left out of training and fit" in shown
    assert "speakers held out, their corpora heard" in shown
    result = json.loads((run / "calibration.json").read_text())
    assert [row["recordings"] for row in result["abroad"]] == [16, 8, 2]
    assert result["abroad"][0]["activation"]["said"] is not None

    assert main(["robustness", str(run), "--limit", "1"]) == 0
    assert "UAR as recorded" in capsys.readouterr().out
    measured = json.loads((run / "robustness.json").read_text())
    assert [row["corpus"] for row in measured["corpora"]] == ["one", "two", "mine"]
    assert measured["conditions"] == ["as recorded", "20 dB softer", "10 dB louder", "telephone band"]
    assert all(0 <= share <= 1 for row in measured["corpora"] for share in (*row["uar"], *row["missed_or_split"]))

    assert main(["report", str(run)]) == 0
    assert "UAR, new speakers of corpora heard" in (run / "report" / "index.html").read_text()
    assert len(list((run / "report").glob("confusion-*.png"))) == 3

    assert main(["export", str(run)]) == 2
    assert "seed0-final.pt: is missing" in capsys.readouterr().err
    assert main(["train", *corpora, "--final"]) == 0
    assert main(["export", str(run), "--licence", "mine alone", "--training-data", "ten recordings"]) == 0
    metadata = Model.load(run / "reslstm-sa-h32.window.onnx").metadata
    assert (metadata.licence, metadata.training_data) == ("mine alone", "ten recordings")
    assert metadata.temperature == pytest.approx(result["fitted"]["temperature"], abs=1e-4)
    assert metadata.activation is not None
    assert metadata.activation.slope == result["fitted"]["activation"]["slope"]
    assert metadata.typical_logits is not None

    (run / "calibration.json").write_text('{"fitted": 3, "noise": null}')
    capsys.readouterr()
    assert main(["export", str(run)]) == 2
    assert "run `ser-calibrate cross-corpus` again" in capsys.readouterr().err
