"""`ser-calibrate path`: real daemons answer played recordings like the same network on the file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ser_calibration.cli.main import main
from ser_model.training.data.corpus import TEST_ACTORS
from ser_model.training.scores import MISSED
from support.run_folder import make_corpus, make_run

for module in ("torch", "scipy", "onnx"):
    pytest.importorskip(module, reason="the train extra is not installed")

from ser_calibration.evaluation import path  # noqa: E402
from ser_calibration.rig.virtual_sound import unavailable_reason  # noqa: E402
from ser_model.training.folds.run_folder import RunFolder  # noqa: E402


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture
def sound_server() -> None:
    """Skip if none can be started; the command starts its own."""
    if (reason := unavailable_reason()) is not None:
        pytest.skip(f"no virtual microphone: {reason}")


def test_figures_are_paired() -> None:
    emotions = np.array([0, 1, 2, 3, 4])
    from_file = {0: 0, 1: 1, 2: 2, 3: MISSED, 4: 4}
    live = {4: MISSED, 0: 0, 1: 1, 3: MISSED}
    result = path.compare(emotions, from_file, live)
    assert result["recordings"] == 4
    assert result["file"] == {"accuracy": 0.75, "uar": 0.75, "missed_or_split": 1}
    assert result["live"] == {"accuracy": 0.5, "uar": 0.5, "missed_or_split": 2}
    assert (result["agreement"], result["loss_points"]) == (0.75, 25.0)
    assert (result["right_only_in_file"], result["right_only_live"]) == (1, 0)
    assert result["loss_points_error"] == pytest.approx(100 * np.std([1, 0, 0, 0]) / 2)


def test_no_answer_or_several_count_as_missed() -> None:
    assert [path.single_class(tops) for tops in ([], ["calm"], ["calm", "calm"])] == [MISSED, 1, MISSED]


def test_recordings_are_balanced_over_emotions_and_folds(corpus: Path, tmp_path: Path) -> None:
    run = RunFolder.open(make_run(corpus, tmp_path / "run"))
    chosen = path.draw_recordings(run, 20)
    assert [len(index) for index in chosen] == [4] * 5
    for fold, index in enumerate(chosen):
        assert set(run.actors[index]) <= set(TEST_ACTORS[fold])
        assert sorted(run.emotions[index]) == [0, 0, 4, 4]
        assert len(set(index.tolist())) == 4
    assert [one.tolist() for one in path.draw_recordings(run, 20)] == [one.tolist() for one in chosen]
    assert sorted(np.concatenate(path.draw_recordings(run, 1000)).tolist()) == list(range(len(run.names)))


def test_a_missing_sound_server_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(path, "unavailable_reason", lambda: "no paplay (packages pulseaudio and pulseaudio-utils)")
    assert main(["path", str(tmp_path), "--data", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ser-calibrate: There can be no virtual microphone here: no paplay")
    assert error.count("\n") == 1


@pytest.mark.usefixtures("sound_server")
@pytest.mark.parametrize(
    ("folder", "sentence"),
    [
        ("run", "nowhere: expected the RAVDESS folder"),
        ("absent", "absent: expected the --output folder of `ser-model train`"),
    ],
)
def test_bad_input_gets_one_sentence(
    folder: str, sentence: str, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(corpus, tmp_path / "run")
    assert main(["path", str(tmp_path / folder), "--data", "nowhere"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ser-calibrate: ")
    assert sentence in error
    assert error.count("\n") == 1


@pytest.mark.slow
@pytest.mark.usefixtures("sound_server")
def test_every_recording_is_classified_by_the_network_of_its_fold(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(corpus, tmp_path / "run")
    compared = []
    compare = path.compare

    def watch(emotions: path.Classes, from_file: dict[int, int], live: dict[int, int]) -> dict[str, object]:
        compared.append((from_file, live))
        return compare(emotions, from_file, live)

    monkeypatch.setattr(path, "compare", watch)
    assert main(["path", str(run), "--data", str(corpus), "--recordings", "10"]) == 0
    [(from_file, live)] = compared
    actors = RunFolder.open(run).actors
    # The network of fold f always predicts class f.
    expected = {index: next(f for f in range(5) if actors[index] in TEST_ACTORS[f]) for index in live}
    assert len(expected) == 10
    assert live == from_file == expected
    result = json.loads((run / "path.json").read_text())
    assert (result["agreement"], result["loss_points"], result["samples_lost"]) == (1.0, 0.0, 0)
    assert "the same answer for 100.0%" in " ".join(capsys.readouterr().out.split())
