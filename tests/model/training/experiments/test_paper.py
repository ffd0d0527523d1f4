"""The protocol of the paper, and the search for its settings, on a small corpus."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

for module in ("torch", "librosa", "optuna"):
    pytest.importorskip(module, reason="the train extra is not installed")

from dataclasses import replace  # noqa: E402

from ser_model.cli.main import main  # noqa: E402
from ser_model.training.data.corpus import Recording  # noqa: E402
from ser_model.training.data.dataset import Dataset  # noqa: E402
from ser_model.training.experiments import paper, reproduce, tune  # noqa: E402


@pytest.fixture
def dataset() -> Dataset:
    """Four recordings of each actor, whose features determine their class."""
    rng = np.random.default_rng(0)
    recordings, frames = [], []
    for actor in range(1, 25):
        for emotion in range(4):
            name = f"03-01-{emotion + 1:02d}-01-01-01-{actor:02d}.wav"
            recordings.append(Recording(Path(name), emotion, 1, 1, 1, actor))
            one = rng.standard_normal((12, 46)).astype(np.float32)
            one[:, emotion] += 3
            frames.append([one])
    ones = np.ones(len(recordings), dtype=np.int64)
    return Dataset(tuple(recordings), frames, ones, [np.arange(12)] * len(recordings))


def test_features_are_librosas(tmp_path: Path) -> None:
    import librosa
    import soundfile

    sound = 0.1 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)
    soundfile.write(tmp_path / "a.wav", sound, 48_000)
    got = paper.features(Recording(tmp_path / "a.wav", 0, 1, 1, 1, 1))
    assert got.shape == (24, 46)
    read, _ = soundfile.read(tmp_path / "a.wav", dtype="float32")
    np.testing.assert_allclose(
        got[:, :34], librosa.feature.mfcc(y=read, sr=48_000, n_mfcc=34, n_fft=4096, hop_length=2048).T, atol=1e-3
    )
    assert set(got[:, 34:].argmax(axis=1)) == {9}  # A


def test_every_recording_is_predicted_by_a_network_that_is_not_trained_on_it(dataset: Dataset) -> None:
    config = replace(paper.RECIPE, epochs=20, batch=8)
    (predictions,) = paper.cross_validate(dataset, [config], [0], every=5)
    truth = np.array([recording.emotion for recording in dataset.recordings])
    assert (predictions.test.argmax(axis=1) == truth).mean() > 0.7
    assert (predictions.peeked.argmax(axis=1) == truth).mean() >= (predictions.test.argmax(axis=1) == truth).mean()
    assert predictions.validation.shape == (40, 8)


def test_an_interrupted_reproduction_continues(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reproduce.train(dataset, tmp_path, 1, workers=1, epochs=1)
    files = sorted(tmp_path.glob("*.npz"))
    assert len(files) == 6
    times = {path: path.stat().st_mtime_ns for path in files}
    files[2].unlink()
    reproduce.train(dataset, tmp_path, 1, workers=1, epochs=1)
    assert [path for path in files if path.stat().st_mtime_ns != times[path]] == [files[2]]
    reproduce.report(dataset, tmp_path, 1)
    rows = json.loads((tmp_path / "reproduction.json").read_text())["rows"]
    assert [row["parameters"] for row in rows][3:] == [27_988, 46_772, 108_916]
    assert "0.6232" in capsys.readouterr().out


def test_a_search_is_stored_and_reports_what_the_test_folds_would_claim(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(paper, "RECIPE", replace(paper.RECIPE, epochs=1))
    storage = f"sqlite:///{tmp_path}/tune.db"
    tune.search(tune.open_study(storage, "a"), dataset, "paper", trials=2, parallel=2)
    study = tune.open_study(storage, "a")
    tune.search(study, dataset, "paper", trials=1)
    assert [trial.number for trial in study.trials] == [0, 1, 2]
    assert all({"test", "peeked"} <= set(trial.user_attrs) for trial in study.trials)
    tune.print_best_trials(study)
    assert "would have claimed" in capsys.readouterr().out


def test_an_invalid_storage_is_reported_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from ser_model.errors import SerError

    with pytest.raises(SerError, match="--storage nonsense: expected an SQLAlchemy URL"):
        tune.open_study("nonsense", "a")


def test_a_missing_gpu_is_reported_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    words = ["reproduce", "--data", str(tmp_path), "--output", str(tmp_path / "out"), "--device", "cuda"]
    assert main(words) == 2
    assert "finds no NVIDIA GPU" in capsys.readouterr().err
