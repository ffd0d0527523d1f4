"""The report of a run is one self-contained page."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from ser_model.cli.main import main
from support.browser import PHONE, Browser
from support.run_folder import make_corpus

for module in ("torch", "matplotlib", "scipy", "onnx"):
    pytest.importorskip(module, reason="the train extra is not installed")

import torch  # noqa: E402

from ser_model.training.data.corpus import find_recordings  # noqa: E402
from ser_model.training.data.dataset import build  # noqa: E402
from ser_model.training.folds.jobs import FOLDS, SPLITS, Job  # noqa: E402
from ser_model.training.networks.architecture import ResLstmSa  # noqa: E402
from ser_model.training.networks.inference import predict  # noqa: E402
from ser_model.training.report.activation_plots import nearest_agree, principal_axes  # noqa: E402
from ser_model.training.report.activations import compute_activations  # noqa: E402
from ser_model.training.report.page import Report, compose  # noqa: E402
from ser_model.training.report.result_plots import draw_curves, draw_recall, picture, recalls, reliability  # noqa: E402

PICTURES = ["confusion", "recall", "curves", "signal", "spaces", "reliability", "coverage", "heard", "robustness"]
PICTURES += ["sizes"]
MEASURED = {"curves", "coverage", "heard", "robustness"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 actors with two synthetic sentences each."""
    return make_corpus(tmp_path_factory.mktemp("data"), (3, 5))


@pytest.fixture
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of one seed with random networks, without curves or robustness."""
    folder = data.parent / "runs" / tmp_path_factory.mktemp("run").name
    folder.mkdir(parents=True)
    corpus = find_recordings(data)
    dataset = build(corpus, cache=folder.parent / "cache", workers=1)
    (folder / "settings.json").write_text(json.dumps({"fit": {"variant": "h32"}}))
    rows = [[recording.name, recording.emotion, recording.actor] for recording in corpus.recordings]
    (folder / "recordings.json").write_text(json.dumps(rows))
    for number, (fold, split) in enumerate((fold, split) for fold in FOLDS for split in SPLITS):
        job = Job(0, fold, split)
        torch.manual_seed(number)
        network = ResLstmSa(32).eval()
        network.mean.copy_(torch.from_numpy(dataset.frames[0][0].mean(axis=0)))
        network.std.copy_(torch.from_numpy(dataset.frames[0][0].std(axis=0) + 1e-3))
        torch.save(network.state_dict(), folder / f"{job.name}.pt")
        index = [
            at
            for at, recording in enumerate(corpus.recordings)
            if recording.actor in job.evaluated_speakers and dataset.utterances[at] == 1
        ]
        assert index
        logits = predict(network, [dataset.frames[at][0] for at in index])
        np.savez(folder / f"{job.name}.npz", index=np.array(index), logits=logits, seconds=1.0)
    return folder


def add_curves(run: Path) -> None:
    for path in run.glob("seed*.npz"):
        with np.load(path) as file:
            kept = {name: file[name] for name in file}
        np.savez(path, **kept, curve=np.array([[1, 2.0, 0.2], [2, 1.5, 0.3], [3, 1.2, 0.35]]))


def add_robustness(run: Path) -> None:
    row = {"title": "as recorded", "uar": {"mean": 0.5, "std": 0.01, "seeds": [0.5]}, "missed": 0.0, "split": 0.01}
    rows = {"clean": row, "room": {**row, "title": "in a <kitchen>"}}
    (run / "robustness.json").write_text(json.dumps({"recordings": 48, "seeds": [0], "conditions": rows}))


def add_confidence(run: Path) -> None:
    curve = [{"coverage": share, "accuracy": 1 - share / 2} for share in (0.5, 1.0)]
    measured = {kind: {"after": {"risk_coverage": curve}} for kind in ("utterance", "window", "full_window")}
    heard = [{"up_to_seconds": end, "accuracy": 0.4, "before": 0.6, "after": 0.4} for end in (0.5, None)]
    (run / "confidence.json").write_text(json.dumps({"measured": measured, "heard": heard}))


class Page(HTMLParser):
    """Tags and addresses of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.captions = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.captions += tag == "figcaption"
        self.loads += [value or "" for name, value in attributes if name in ("src", "href", "srcset", "data", "action")]


def written(run: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Path, str]:
    """Make the report; return its folder and the text of its page."""
    output = run / "there"
    assert main(["report", str(run), "--data", str(data), "--output", str(output)]) == 0
    assert capsys.readouterr().out.endswith(f"{output / 'index.html'}\n")
    return output, (output / "index.html").read_text(encoding="utf-8")


def test_the_page_holds_every_picture_and_loads_nothing(
    run: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_curves(run)
    add_robustness(run)
    add_confidence(run)
    folder, text = written(run, data, capsys)
    page = Page(text)
    assert sorted(path.stem for path in folder.glob("*.png")) == sorted(PICTURES)
    assert page.captions == len(PICTURES)
    assert len(page.loads) == len(PICTURES)
    for name, source in zip(PICTURES, page.loads, strict=True):
        kind, _, content = source.partition(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(content) == (folder / f"{name}.png").read_bytes()
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert "://" not in text
    assert not re.search(r"url\(|@import", text)
    assert "default-src 'none'" in text


def test_the_page_fits_a_telephone(tmp_path: Path, browser: Browser) -> None:
    truth = np.arange(80) % 8
    drawn = picture("recall", "How much it recognises", "caption " * 30, partial(draw_recall, truth, [truth]))
    absent = picture("heard", "What is not there", "It was not measured (`ser-calibrate confidence`).", None)
    figures = [("when it may say “unknown”", "it labels 40 % of the recordings " * 3), ("parameters", "46,772")]
    path = tmp_path / "index.html"
    report = Report(
        title="ResLSTM-SA h64: what it hears, and what it doesn't",
        introduction=["word " * 40],
        figures=figures,
        notes=["note " * 40],
        weaknesses=["weak " * 40],
        pictures=[drawn, absent],
    )
    path.write_text(compose(report))
    with browser.open(path.as_uri(), width=PHONE) as page:
        assert (page.overflow(), page.errors) == ([], [])
        ((natural, width),) = page.run("[...document.images].map((image) => [image.naturalWidth, image.width])")
    # As wide as the telephone without its margins, with more pixels than that.
    assert width == PHONE - 32
    assert natural > 2 * PHONE


@pytest.mark.parametrize("epochs", [1, 3])
def test_the_learning_curve_of_a_short_run_can_be_seen(epochs: int) -> None:
    curve = np.array([[1, 2.0, 0.2], [2, 1.5, 0.3], [3, 1.2, 0.4]])[:epochs]
    figure = draw_curves({"validation": [curve], "test": [curve, curve + 0.1]})
    lines = [line for axes in figure.axes for line in axes.lines if len(line.get_xdata()) == epochs]
    assert len(lines) == 4
    assert all(line.get_marker() != "None" and line.get_markersize() > 3 for line in lines)


def test_the_page_begins_with_metrics_and_weaknesses(run: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, text = written(run, data, capsys)
    before = text[: text.index("<figure")]
    for words in ("UAR, all 24 actors", "27,988", "guessing gives 12.5 %", "Acted speech", "24 voices", "Eight labels"):
        assert words in before
    assert "North American English" in before


def test_a_missing_measurement_is_left_out_with_a_sentence(
    run: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "there").mkdir()
    (run / "there" / "robustness.png").write_bytes(b"of an older report")
    folder, text = written(run, data, capsys)
    assert sorted(path.stem for path in folder.glob("*.png")) == sorted({*PICTURES} - MEASURED)
    assert "The learning curve is not there" in text
    assert "Robustness was not measured" in text
    assert "Confidence was not measured" in text


def test_the_same_run_gives_the_same_page(run: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert written(run, data, capsys) == written(run, data, capsys)


def test_changed_predictions_are_reported(run: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "have changed since" not in written(run, data, capsys)[1]
    path = run / "seed0-fold0-test.npz"
    with np.load(path) as file:
        kept = {name: file[name] for name in file}
    np.savez(path, **{**kept, "logits": kept["logits"] + 1})
    assert "have changed since" in written(run, data, capsys)[1]


def test_the_recordings_of_ravdess_are_needed(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(run)]) == 2
    assert "its pictures need the recordings; name them with --data" in capsys.readouterr().err


def refused(run: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["report", str(run), "--data", str(data)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ser-model: ")
    assert error.count("\n") == 1
    assert not (run / "report").exists()
    return error


def test_invalid_input_is_reported_in_one_sentence(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "expected the --output folder of `ser-model train`" in refused(tmp_path, data, capsys)
    assert "nowhere: expected the RAVDESS folder" in refused(run, tmp_path / "nowhere", capsys)
    (tmp_path / "Actor_01").symlink_to(data / "Actor_01")
    assert "expected the 48 recordings" in refused(run, tmp_path, capsys)


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("seed0-fold3-validation.npz", None, "is unfinished, 9 of the 10 networks"),
        ("seed0-fold3-test.pt", None, "expected 1 seeds with all five folds, found 0"),
        ("seed0-fold0-test.pt", b"no weights", "is damaged"),
        ("seed0-fold2-test.npz", b"no answers", "answers of a network are damaged"),
        ("settings.json", b"{", "is damaged"),
        ("recordings.json", b"[[]]", "is not what `ser-model train` wrote"),
        ("recordings.json", b'[["03-01-03-01-01-01-01", 2, 1]]', "other recordings than its recordings.json names"),
        ("robustness.json", b'{"conditions": {}}', "robustness.json: is damaged"),
        ("robustness.json", b'{"conditions": [1]}', "robustness.json: is damaged"),
        ("confidence.json", b'{"measured": {}}', "confidence.json: is damaged"),
    ],
)
def test_an_incomplete_run_is_refused(
    run: Path, data: Path, file: str, content: bytes | None, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is None:
        (run / file).unlink()
    else:
        (run / file).write_bytes(content)
    assert sentence in refused(run, data, capsys)


def test_help_needs_neither_torch_nor_matplotlib() -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'matplotlib', 'onnx', 'onnxruntime'): sys.modules[name] = None\n"
        "from ser_model.cli.main import main\n"
        "main(['report', '--help'])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert "--data DIR" in done.stdout


def test_the_calibration_error_is_the_mean_difference_of_confidence_and_accuracy() -> None:
    confidence = np.array([0.95, 0.95, 0.95, 0.95, 0.55, 0.55])
    right = np.array([True, True, True, False, True, False])
    bins, error = reliability(confidence, right)
    np.testing.assert_allclose(bins[9], [0.95, 0.75, 4 / 6])
    np.testing.assert_allclose(bins[5], [0.55, 0.5, 2 / 6])
    assert np.isnan(bins[0, :2]).all()
    assert error == pytest.approx(4 / 6 * 0.2 + 2 / 6 * 0.05)
    assert reliability(np.array([1.0]), np.array([True]))[1] == 0


def test_recall_counts_missed_recordings() -> None:
    found = recalls(np.array([0, 0, 1, 1]), np.array([0, -1, 1, 1]))
    np.testing.assert_equal(found, [0.5, 1.0, *[np.nan] * 6])


def test_the_principal_axes_are_those_of_the_largest_variance() -> None:
    rng = np.random.default_rng(0)
    flat = rng.standard_normal((200, 2)) * (5, 2)
    turn, _ = np.linalg.qr(rng.standard_normal((6, 6)))
    points, shares = principal_axes(flat @ turn[:2] + 7)
    np.testing.assert_allclose(shares.sum(), 1)
    flat -= flat.mean(axis=0)
    # Distances are preserved; the signs of the axes are arbitrary.
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), np.linalg.norm(flat, axis=1))
    assert points[:, 0].std() > points[:, 1].std()


def test_the_nearest_neighbour_is_another_speaker() -> None:
    points = np.array([[0.0], [0.1], [1.0], [1.1]])
    emotions = np.array([0, 0, 0, 1])
    assert nearest_agree(points, emotions, np.array([1, 1, 2, 2])) == 0.75
    assert nearest_agree(points, emotions, np.array([1, 2, 1, 2])) == 0.5


def test_activations_are_those_of_the_network() -> None:
    torch.manual_seed(0)
    network = ResLstmSa(32).eval()
    activations = compute_activations(network, np.random.default_rng(0).standard_normal((20, 46)).astype(np.float32))
    np.testing.assert_allclose(activations.residual, activations.lstm1 + activations.features, atol=1e-6)
    assert activations.lstm2.shape == (20, 32)
    assert activations.attention.sum() == pytest.approx(1)
    with torch.no_grad():
        again, _ = network.lstm2(network.norm1(torch.from_numpy(activations.residual.astype(np.float32))[None]))
    np.testing.assert_allclose(again[0].numpy(), activations.lstm2, atol=1e-5)
