"""`ser-model world` measures a finished model on any corpus; figures of a known network are known."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ser_model import Model, Recognizer, read_audio
from ser_model.cli.main import main
from ser_model.labels import LABELS
from ser_model.training.data.corpus_folder import open_corpus
from ser_model.training.data.corpus_frames import build_frames
from ser_model.training.data.labelled_corpus import LabelledCorpus, LabelledRecording
from ser_model.training.data.segmentation import pad_with_room_noise
from ser_model.training.experiments.world import answer, draw
from ser_model.training.experiments.world_metrics import Answers, calibration_error, measure, merge_calm, shared_scores
from ser_model.types import EmotionResult
from support.corpora import COLUMNS, make_corpus, write_index
from support.speech import sentence

NEUTRAL, CALM, HAPPY, SAD, ANGRY, *_ = range(8)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("w") / "mine", emotions=("neutral", "angry", "none"), sound=sentence())


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def corpus_of(*rows: tuple[int | None, str, int | None]) -> LabelledCorpus:
    recordings = tuple(
        LabelledRecording(path=Path("x"), name=str(at), speaker=f"c/{at % 2}", emotion=emotion, sex=sex, age=age)
        for at, (emotion, sex, age) in enumerate(rows)
    )
    return LabelledCorpus(name="c", root=Path("c"), recordings=recordings, identity=("x",) * len(rows))


def answers_of(best: list[int], labels: list[int], utterances: list[int] | None = None) -> Answers:
    """Answers with .65 for the best class and .05 for each other."""
    scores = np.full((len(best), 8), 0.05)
    scores[np.arange(len(best)), best] = 0.65
    return Answers(scores, np.array(labels), np.array(utterances or [1] * len(best)))


def test_missed_and_split_recordings_are_errors_and_not_labelled() -> None:
    corpus = corpus_of(*[(NEUTRAL, "", None)] * 3, *[(ANGRY, "", None)] * 3)
    row = measure(corpus, answers_of([0, 0, 0, 4, 4, 4], [0, 0, -1, 4, 4, 4], [1, 1, 1, 1, 0, 2]))
    assert row["uar"] == row["uar_of_eight"] == pytest.approx((1 + 1 / 3) / 2)
    assert row["labelled"] == pytest.approx(3 / 6)
    assert row["precision"] == 1
    assert (row["missed"], row["split"]) == pytest.approx((1 / 6, 1 / 6))
    assert row["chance"] == 0.5
    assert np.array(row["confusion"])[ANGRY].tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 2]


def test_an_answer_outside_the_corpus_is_wrong_of_eight_but_not_among_its_classes() -> None:
    corpus = corpus_of((NEUTRAL, "", None), (ANGRY, "", None))
    answers = answers_of([NEUTRAL, SAD], [NEUTRAL, SAD])
    answers.scores[1, ANGRY] += 0.1
    row = measure(corpus, answers)
    assert (row["uar"], row["uar_of_eight"], row["precision"]) == (1, 0.5, 0.5)


@pytest.mark.parametrize(("own", "other"), [(NEUTRAL, CALM), (CALM, NEUTRAL)])
def test_calm_counts_as_neutral_where_a_corpus_has_one_of_them(own: int, other: int) -> None:
    expressible = np.isin(np.arange(8), [own, ANGRY])
    assert merge_calm(np.array([own, other, ANGRY, -1]), expressible).tolist() == [own, own, ANGRY, -1]
    scores = shared_scores(np.array([[0.3, 0.2, 0, 0, 0.4, 0, 0.1, 0]]), expressible)
    assert scores[0, own] == pytest.approx(0.5)
    assert scores.argmax() == own
    row = measure(corpus_of((own, "", None), (ANGRY, "", None)), answers_of([other, ANGRY], [other, ANGRY]))
    assert row["uar"] == row["uar_of_eight"] == row["precision"] == 1


def test_they_differ_where_a_corpus_has_both() -> None:
    corpus = corpus_of((NEUTRAL, "", None), (CALM, "", None))
    row = measure(corpus, answers_of([CALM, CALM], [CALM, CALM]))
    assert row["uar"] == row["uar_of_eight"] == row["precision"] == 0.5


def test_the_order_of_arousal_leaves_disgust_out() -> None:
    corpus = corpus_of(*[(one, "", None) for one in (SAD, ANGRY, HAPPY, LABELS.index("disgust"))])
    assert measure(corpus, answers_of([CALM, ANGRY, HAPPY, SAD], [-1] * 4))["arousal_auc"] == 1
    assert measure(corpus, answers_of([ANGRY, CALM, HAPPY, SAD], [-1] * 4))["arousal_auc"] == 0.25
    assert measure(corpus_of((ANGRY, "", None)), answers_of([ANGRY], [-1]))["arousal_auc"] is None


def test_overconfidence_is_confidence_less_accuracy() -> None:
    corpus = corpus_of((NEUTRAL, "", None), (ANGRY, "", None))
    row = measure(corpus, answers_of([NEUTRAL, SAD], [-1, -1]))
    assert row["overconfidence"] == pytest.approx(0.65 - 0.5)
    assert row["precision"] is None
    assert row["labelled"] == 0
    assert calibration_error(np.full(1500, 0.7), np.arange(1500) % 10 < 7) == pytest.approx(0)
    assert calibration_error(np.full(100, 0.9), np.zeros(100, dtype=np.bool_)) == pytest.approx(0.9)


def test_emotions_of_ordinary_speech_are_counted() -> None:
    corpus = corpus_of(*[(None, "", None)] * 5)
    row = measure(
        corpus, answers_of([NEUTRAL, ANGRY, SAD, CALM, SAD], [NEUTRAL, ANGRY, -1, CALM, SAD], [1, 1, 1, 1, 2])
    )
    ordinary = row["ordinary"]
    assert "uar" not in row
    assert (ordinary["recordings"], ordinary["utterances"]) == (5, 4)
    assert ordinary["labelled"] == 0.75
    assert ordinary["emotional"] == 0.25
    assert ordinary["emotional_of_labelled"] == pytest.approx(1 / 3)
    assert ordinary["labels"]["angry"] == 1


def test_groups_by_sex_and_age() -> None:
    corpus = corpus_of((NEUTRAL, "female", 17), (ANGRY, "female", 18), (NEUTRAL, "male", 30), (ANGRY, "", None))
    groups = {one["title"]: one for one in measure(corpus, answers_of([0, 0, 0, 4], [0, 0, 0, 4]))["groups"]}
    assert list(groups) == ["female", "male", "0 to 17 years", "18 to 29 years", "30 to 44 years"]
    assert groups["female"]["uar"] == 0.5
    assert groups["18 to 29 years"] == {"title": "18 to 29 years", "recordings": 1, "speakers": 1, "uar": 0}


def test_a_limit_draws_the_same_recordings_again(root: Path) -> None:
    corpus = corpus_of(*[(NEUTRAL, "", None)] * 40, *[(ANGRY, "", None)] * 2)
    some = draw(corpus, 3, seed=1)
    assert len(some.recordings) == len(some.identity) == 3 * 2 + 2
    assert some == draw(corpus, 3, seed=1) != draw(corpus, 3, seed=2)
    assert draw(open_corpus(root), 9, seed=0) == open_corpus(root)


def test_answers_are_the_finals_of_a_recognizer(root: Path, tmp_path: Path) -> None:
    model = Model.load()
    corpus = open_corpus(root)
    answers = answer(model, build_frames(corpus, cache=tmp_path, workers=1))
    for at, one in enumerate(corpus.recordings):
        recognizer = Recognizer(model)
        results = recognizer.push(pad_with_room_noise(read_audio(one.path))) + recognizer.finish()
        (final,) = (result for result in results if isinstance(result, EmotionResult) and result.final)
        label = "unknown" if answers.labels[at] == -1 else LABELS[answers.labels[at]]
        assert final.label == label
        np.testing.assert_allclose(answers.scores[at], list(final.scores.values()), atol=0.01)


def test_the_shipped_model_is_measured_and_the_figures_are_written(
    root: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["world", str(root), "--workers", "1"]) == 0
    out = capsys.readouterr().out
    for words in ("reslstm-sa-h64 on other corpora", "ordinary speech", "learned from: RAVDESS", "mine"):
        assert words in out
    result = json.loads((here / "world.json").read_text())
    (row,) = result["corpora"]
    assert (row["recordings"], row["speakers"], row["chance"]) == (6, 2, 0.5)
    assert sum(map(sum, row["confusion"])) == 4
    assert row["ordinary"]["recordings"] == 2
    assert main(["world", str(root), "--workers", "1", "--output", "again.json"]) == 0
    assert json.loads((here / "again.json").read_text()) == result


def test_a_model_and_an_exported_run_come_before_the_corpora(root: Path, here: Path) -> None:
    weights = Path(sys.modules["ser_model"].__file__ or "").parent / "weights"
    run = here / "run"
    run.mkdir()
    (run / "settings.json").write_text("{}")
    for mode in ("window", "stream"):
        name = f"reslstm-sa-h64.{mode}.onnx"
        (run / name).write_bytes((weights / name).read_bytes())
    for model in (weights / "reslstm-sa-h64", run):
        assert main(["world", str(model), str(root), "--limit", "1", "--workers", "1"]) == 0
    one, other = (json.loads(path.read_text()) for path in (here / "world.json", run / "world.json"))
    assert one == other
    assert one["limit"] == 1


def test_a_corpus_without_emotions_is_measured(root: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (root / "index.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["emotion"] == "none"]
    own = make_corpus(here / "own", ("a", "b"), ("none",), sound=sentence())
    assert len(rows) == 2
    assert main(["world", str(own), "--workers", "1"]) == 0
    assert "on other corpora" not in capsys.readouterr().out
    assert "uar" not in json.loads((here / "world.json").read_text())["corpora"][0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere"], "nowhere: is no corpus folder"),
        (["nowhere", "mine"], "nowhere"),
        (["mine", "mine"], "mine: another of the folders is called mine too"),
        (["mine", "empty"], "empty/index.csv: is missing"),
        (["empty", "mine"], "empty/index.csv: is missing"),
        (["run", "mine"], "run: expected one exported model in the folder of the run, found 0"),
        (["run"], "run: is no corpus folder"),
    ],
)
def test_bad_paths_are_reported_in_one_sentence(
    arguments: list[str], sentence: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_corpus(here / "mine")
    for name in ("empty", "run"):
        (here / name).mkdir()
    (here / "run" / "settings.json").write_text("{}")
    assert main(["world", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"ser-model: {sentence}")
    assert error.count("\n") == 1


def test_it_needs_no_module_of_the_training(root: Path, here: Path) -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'scipy', 'onnx', 'librosa', 'matplotlib'): sys.modules[name] = None\n"
        "from ser_model.cli.main import main\n"
        "if __name__ == '__main__':\n"
        "    sys.exit(main(['world', sys.argv[1], '--workers', '1']))\n"
    )
    (here / "program.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "program.py", str(root)], cwd=here, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_columns_of_an_index_are_those_of_the_help(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    write_index(tmp_path, [])
    with pytest.raises(SystemExit):
        main(["world", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert f"columns {', '.join(COLUMNS)}" in text
