"""The report of a run on several corpora is a page of what was measured, and needs no recordings."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser_model.cli.main import main
from ser_model.labels import LABELS
from support.browser import PHONE, Browser
from support.corpora import make_corpus

for module in ("torch", "matplotlib", "scipy", "onnx"):
    pytest.importorskip(module, reason="the train extra is not installed")

from ser_model.training.corpora.corpora_run import CorporaRun, keep_settings, open_corpora  # noqa: E402
from ser_model.training.corpora.recording_pool import TargetConfig  # noqa: E402
from ser_model.training.corpora.summary import average  # noqa: E402
from ser_model.training.data.labelled_corpus import LabelledCorpus  # noqa: E402
from ser_model.training.experiments.world_metrics import Answers, Metrics, measure  # noqa: E402
from ser_model.training.networks.fit_config import FitConfig  # noqa: E402
from ser_model.training.report.corpora_figures import read_figures  # noqa: E402


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> CorporaRun:
    """Two corpora of actors, one of which is only measured, and one in which nobody acts."""
    root = tmp_path_factory.mktemp("corpora")
    make_corpus(root / "one", ("a", "b"), LABELS, more={"sex": "female"})
    make_corpus(root / "two", ("a", "b"), ("neutral", "angry"))
    make_corpus(root / "mine", ("me",), ("none", "none"))
    return CorporaRun(
        folders=tuple((name, root / name) for name in ("one", "two", "mine")),
        output=root / "run",
        config=FitConfig(variant="h32"),
        targets=TargetConfig(only_measured=("two",)),
        variants=1,
    )


@pytest.fixture
def run(corpora: CorporaRun, tmp_path: Path) -> Path:
    """The folder of a run whose networks answer at random; nothing is measured yet."""
    folder = tmp_path / "run"
    placed = CorporaRun(**{name: getattr(corpora, name) for name in CorporaRun.__slots__} | {"output": folder})
    keep_settings(placed, open_corpora(placed))
    return folder


def answer(corpus: LabelledCorpus, seed: int) -> Metrics:
    scores = np.random.default_rng(seed).dirichlet(np.ones(8), len(corpus.recordings))
    rows = measure(corpus, Answers(scores, scores.argmax(axis=1), np.ones(len(scores), dtype=np.int64)))
    return rows | ({"activation": {"said": 0.5, "right": 0.9}} if "uar" in rows else {})


def add_measured(run: Path, corpora: CorporaRun) -> dict[str, Any]:
    """Write what `ser-calibrate cross-corpus` and `ser-model robustness` write, of answers at random."""
    opened = open_corpora(corpora)
    abroad = [average([answer(one, seed) for seed in (0, 1)]) for one in opened]
    content = {
        "seeds": [0, 1],
        "abroad": abroad,
        "home": [average([answer(one, 2)]) for one in opened],
        "adaptation": [{"scenario": "mixed", "gains": {"one": 2.0, "two": -1.0}}],
        "noise": {"sounds": 13, "labelled_final": 0},
    }
    (run / "calibration.json").write_text(json.dumps(content))
    rows = [{"corpus": name, "uar": [0.4, 0.3], "missed_or_split": [0.0, 0.1]} for name in ("one", "two")]
    (run / "robustness.json").write_text(json.dumps({"conditions": ["as recorded", "in a <kitchen>"], "corpora": rows}))
    return content


def written(run: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["report", str(run)]) == 0
    assert capsys.readouterr().out.endswith(f"{run / 'report' / 'index.html'}\n")
    return (run / "report" / "index.html").read_text(encoding="utf-8")


def pictures(run: Path) -> list[str]:
    return sorted(path.stem for path in (run / "report").glob("*.png"))


def test_the_page_shows_what_was_measured(run: Path, corpora: CorporaRun, capsys: pytest.CaptureFixture[str]) -> None:
    content = add_measured(run, corpora)
    text = written(run, capsys)
    shown = ["accuracy", "adaptation", "answers", "confusion-one", "confusion-two", "groups", "robustness"]
    assert pictures(run) == shown
    uar = np.mean([row["uar"] for row in content["abroad"][:2]])
    assert f"{100 * uar:.1f} % in the mean of 2 corpora, where guessing gives 31.2 %" in text
    # Nothing was learned from the other, so no speakers of it were heard.
    assert f"{100 * content['home'][0]['uar']:.1f} % in the mean of 1 corpora" in text
    assert "learned from two, not even the one that is exported" in text
    emotional = content["abroad"][2]["ordinary"]["emotional"]
    assert f"{100 * emotional:.1f} % of 2 utterances" in text
    assert "13 sounds taken for speech, 0 of them with a label" in text
    assert "one (en, 2 speakers, 16 recordings)" in text
    assert "27,988" in text
    assert "No temperature" not in text
    assert "://" not in text


def test_the_page_fits_a_telephone(
    run: Path, corpora: CorporaRun, browser: Browser, capsys: pytest.CaptureFixture[str]
) -> None:
    add_measured(run, corpora)
    written(run, capsys)
    with browser.open((run / "report" / "index.html").as_uri(), width=PHONE) as page:
        assert (page.overflow(), page.errors) == ([], [])


def test_before_the_calibration_it_says_what_is_missing(
    run: Path, corpora: CorporaRun, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [average([answer(one, seed) for seed in (0, 1, 2)]) for one in open_corpora(corpora)[1:]]
    for row in rows:
        row.pop("activation", None)
    (run / "cross_corpus.json").write_text(json.dumps({"corpora": rows}))
    text = written(run, capsys)
    assert pictures(run) == ["accuracy", "answers", "confusion-two"]
    for sentence in ("so every utterance gets a label", "3 for each corpus left out", "Robustness was not measured"):
        assert sentence in text
    for sentence in ("Adaptation was not measured", "No corpus says of its speakers what their sex and age are"):
        assert sentence in text
    assert "an hour of noise" not in text


def test_each_figure_is_the_one_of_its_file(run: Path, corpora: CorporaRun) -> None:
    content = add_measured(run, corpora)
    figures = read_figures(run)
    one = figures.left_out[0].acted
    assert one is not None
    assert (one.uar, one.precision, one.said) == (content["abroad"][0]["uar"], content["abroad"][0]["precision"], 0.5)
    assert one.confusion.tolist() == content["abroad"][0]["confusion"]
    assert [(group.title, group.speakers) for group in one.groups] == [("female", 2)]
    assert figures.left_out[2].acted is None
    assert figures.conditions[1].errors == (0.1, 0.1)
    assert (figures.seeds, figures.noise, figures.adaptation[0][0]) == (2, (13, 0), "mixed")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["report", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ser-model: ")
    assert error.count("\n") == 1
    return error


def test_invalid_input_is_reported_in_one_sentence(
    run: Path, corpora: CorporaRun, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "so nothing is known yet about corpora that were left out" in refused(capsys, str(run))
    assert "page needs no recordings" in refused(capsys, str(run), "--data", str(run))
    add_measured(run, corpora)
    for name, text in (
        ("calibration.json", "{"),
        ("calibration.json", "[]"),
        ("calibration.json", '{"abroad": [{"corpus": "one"}]}'),
        ("calibration.json", '{"abroad": [], "home": null, "adaptation": [], "noise": null, "seeds": 3}'),
        ("calibration.json", "[" * 200_000),
        ("calibration.json", (run / "calibration.json").read_text().replace('"corpus": "one"', '"corpus": "../one"')),
        ("calibration.json", re.sub(r'"uar": [0-9.]+', '"uar": NaN', (run / "calibration.json").read_text())),
        ("robustness.json", '{"conditions": ["as recorded"], "corpora": [{"uar": []}]}'),
    ):
        kept = (run / name).read_text()
        (run / name).write_text(text)
        assert f"{name}" in refused(capsys, str(run))
        (run / name).write_text(kept)
    (run / "robustness.json").unlink()
    os.mkfifo(run / "robustness.json")
    assert "robustness.json: cannot be read" in refused(capsys, str(run))
    (run / "robustness.json").unlink()
    (run / "robustness.json").symlink_to("/dev/zero")
    assert "robustness.json: cannot be read" in refused(capsys, str(run))
    assert not (run / "report").exists()
