"""Rolling windows equal those of the live path; the methods for long speech predict what they should."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser_model import Model
from ser_model.audio.gate import Gate
from ser_model.cli.main import main
from ser_model.config import DecisionConfig
from ser_model.features.features import HOP, compute_features
from ser_model.recognizer import Analyzer
from ser_model.training.data.corpus import find_recordings
from ser_model.training.data.dataset import Dataset
from ser_model.training.data.segmentation import Segmentation
from ser_model.types import SAMPLE_RATE, Block, Estimate, Frames, SpeechAudio, SpeechStarted
from support.run_folder import make_corpus, make_run
from support.speech import synthetic_speech

for module in ("torch", "scipy", "onnx"):
    pytest.importorskip(module, reason="the train extra is not installed")

import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from ser_model.training.data.windowing import cut_windows, update_ends, window_frames  # noqa: E402
from ser_model.training.experiments import long_speech  # noqa: E402
from ser_model.training.experiments.long_speech import SECONDS, Track, make_tracks, predict_track  # noqa: E402
from ser_model.training.experiments.windows import collect, measure  # noqa: E402
from ser_model.training.folds.run_folder import RunFolder  # noqa: E402
from ser_model.training.networks.architecture import Outcome  # noqa: E402


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture
def run(corpus: Path, tmp_path: Path) -> RunFolder:
    return RunFolder.open(make_run(corpus, tmp_path / "runs" / "one"))


class RecordingModel:
    """The shipped network; it records the windows that it gets."""

    def __init__(self) -> None:
        self._model = Model.load()
        self.metadata = self._model.metadata
        self.stream = self._model.stream
        self.windows: list[Frames] = []

    def window(self, frames: Frames) -> Estimate:
        self.windows.append(frames.copy())
        return self._model.window(frames)


@pytest.mark.parametrize("window_ms", [1000, 2000, 4000])
def test_windows_are_those_that_the_recognizer_gets(window_ms: int) -> None:
    speech = synthetic_speech()
    gate, model = Gate(), RecordingModel()
    events = gate.push(Block(speech, 0)) + gate.finish()
    analyzer = Analyzer(model, DecisionConfig(window_ms=window_ms))  # type: ignore[arg-type]
    utterances: list[list[np.ndarray]] = []
    for event in events:
        analyzer.push(event)
        if isinstance(event, SpeechStarted):
            utterances.append([])
        elif isinstance(event, SpeechAudio):
            utterances[-1].append(event.samples)
    expected: list[Frames] = []
    for pieces in utterances:
        frames = compute_features(np.concatenate(pieces))
        expected += cut_windows(frames, window_ms, update_ends(len(frames)))
    assert len(model.windows) > 10
    assert max(map(len, expected)) == window_frames(window_ms)
    # The frames do not show whether the last hop of an utterance contains an update: there may be one window more.
    assert 0 <= len(expected) - len(model.windows) <= len(utterances)
    remaining = iter(expected)
    for window in model.windows:
        assert any(len(one) == len(window) and np.allclose(one, window, atol=1e-3) for one in remaining)


def numbered(run: RunFolder, corpus: Path, utterances: list[int] | None = None) -> Dataset:
    """Between 101 and 120 frames for each recording, with its number in the first column."""
    recordings = find_recordings(corpus).recordings
    frames = []
    for number in range(len(recordings)):
        rows = np.zeros((101 + number % 20, 46), dtype=np.float32)
        rows[:, 0] = number
        rows[-1, 1] = 1
        frames.append([rows])
    found = np.array(utterances or [1] * len(recordings))
    kept = [one if found[at] else [] for at, one in enumerate(frames)]
    return Dataset(recordings, kept, found, [np.arange(len(one[0]) if one else 0) for one in kept])


def test_every_window_of_a_missed_or_split_recording_is_an_error(run: RunFolder, corpus: Path) -> None:
    every = [1] * len(run.names)
    windows = len(update_ends(101))
    split, missed = [2, *every[1:]], [0, *every[1:]]
    whole = collect(numbered(run, corpus, every), 2000)
    counts = [np.sum(collect(numbered(run, corpus, found), 2000).owner == 0) for found in (every, split, missed)]
    assert counts == [windows, windows, 1]
    # The network for actor 1 predicts 4, which is the emotion of its second recording.
    assert (run.actors[1], run.emotions[1]) == (1, 4)
    right = measure(run, whole, 2000)["every_window"]["uar"]["mean"]
    worse = measure(run, collect(numbered(run, corpus, [1, 2, *every[2:]]), 2000), 2000)
    count = np.sum(run.emotions[whole.owner] == 4)
    assert right - worse["every_window"]["uar"]["mean"] == pytest.approx(np.sum(whole.owner == 1) / count / 2)
    assert worse["windows"] == len(whole.owner)
    assert worse["full_windows"] == sum(len(window) == window_frames(2000) for window in whole.frames)


@pytest.fixture
def few_tracks(monkeypatch: pytest.MonkeyPatch) -> None:
    """One track of each kind for each actor, to save time."""
    monkeypatch.setattr(long_speech, "SAME_PER_EMOTION", 1)
    monkeypatch.setattr(long_speech, "CHANGING_PER_ACTOR", 1)


@pytest.mark.usefixtures("few_tracks")
def test_tracks_are_whole_utterances_of_one_actor(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_speech, "SECONDS", (1, 2, 3, 4))
    rng = np.random.default_rng(0)
    # The length identifies the recording.
    sounds = [rng.integers(-2000, 2000, (10 + at) * HOP).astype(np.int16) for at in range(len(run.names))]
    segmented = [
        Segmentation(one, int(at != 5), 0, np.array([[len(one), len(one) // 2]])) for at, one in enumerate(sounds)
    ]
    tracks = make_tracks(run, segmented)
    assert {(one.actor, one.changing) for one in tracks} >= {(actor, False) for actor in range(1, 25)}
    for one in tracks:
        owners = (np.diff((0, *one.ends)) - 10).tolist()
        assert 5 not in owners
        assert [int(run.emotions[owner]) for owner in owners] == list(one.emotions)
        assert {int(run.actors[owner]) for owner in owners} == {one.actor}
        if one.changing:
            assert all(before != after for before, after in pairwise(one.emotions))
        else:
            assert len(set(one.emotions)) == 1
    whole = np.concatenate([sounds[length - 10] for length in np.diff((0, *tracks[0].ends))])
    np.testing.assert_array_equal(tracks[0].frames, compute_features(whole))
    assert tracks[0].voiced[-1] == sum(len(sounds[length - 10]) // 2 for length in np.diff((0, *tracks[0].ends)))
    again = make_tracks(run, segmented)
    assert [one.emotions for one in again] == [one.emotions for one in tracks]
    assert any(a.ends != b.ends for a, b in zip(tracks, make_tracks(run, segmented, 1), strict=True))


def track(*parts: tuple[int, float]) -> Track:
    """A track of emotions and their durations in seconds, with a column of ones for the emotion."""
    pieces = []
    for emotion, seconds in parts:
        rows = np.zeros((round(seconds * SAMPLE_RATE / HOP), 46), dtype=np.float32)
        rows[:, emotion] = 1
        pieces.append(rows)
    ends = tuple(np.cumsum([len(piece) for piece in pieces]).tolist())
    frames = np.concatenate(pieces)
    return Track(1, True, frames, np.arange(len(frames)), ends, tuple(emotion for emotion, _ in parts))


class MeanNetwork(nn.Module):
    """Its logits are the mean of the frames."""

    hidden = 8

    def forward(self, frames: Tensor, mask: Tensor) -> Any:
        logits = 10 * (frames[:, :, :8] * mask.unsqueeze(2)).sum(dim=1) / mask.sum(dim=1, keepdim=True)
        return Outcome(logits, logits, logits)


def test_a_duration_ends_with_an_utterance_and_the_majority_is_by_time() -> None:
    one = track((3, 4.0), (1, 3.0), (2, 2.0), (1, 3.5), (5, 30.0))
    assert [one.stop(seconds) for seconds in SECONDS] == [2, 4, 5, 5]
    assert [one.majority(count) for count in (1, 2, 3, 4, 5)] == [3, 3, 3, 1, 5]


def test_means_follow_the_longest_emotion_and_the_last_windows_the_last_one() -> None:
    one = track((3, 4.0), (1, 1.5), (3, 9.0), (2, 6.0), (4, 4.0), (6, 10.0))
    classes = predict_track(MeanNetwork(), one)  # type: ignore[arg-type]
    assert classes["running"].tolist() == [3, 3, 3, 3]
    assert classes["mean-2s"].tolist() == [3, 3, 3, 3]
    assert classes["last-2s"].tolist() == [3, 3, 2, 6]
    assert classes["last-4s"].tolist() == [3, 3, 2, 6]
    assert torch.is_grad_enabled()


@pytest.mark.usefixtures("few_tracks")
def test_the_command_writes_both_results(run: RunFolder, corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["windows", str(run.path), "--data", str(corpus)]) == 0
    windows = json.loads((run.path / "windows.json").read_text())
    assert [row["window_ms"] for row in windows["windows"]] == [1000, 2000, 3000, 4000]
    # No utterance lasts 3 s.
    assert [row["full_length"] is None for row in windows["windows"]] == [False, False, True, True]
    # Fold 0 always predicts 0 and fold 4 always 4, for windows and for whole utterances.
    assert windows["whole_utterance"]["uar"]["mean"] == pytest.approx((5 / 24 + 4 / 24) / 2)
    rows = json.loads((run.path / "long_speech.json").read_text())["rows"]
    assert [(row["emotion"], row["seconds"]) for row in rows] == [(e, s) for e in ("same", "changing") for s in SECONDS]
    for row in rows:
        assert row["seconds"] <= row["mean_seconds"] < row["seconds"] + 4
        values = {round(figure["last_utterance"]["uar"]["mean"], 9) for figure in row["methods"].values()}
        assert len(values) == 1
    out = capsys.readouterr().out
    assert "rolling windows" in out
    assert "long speech" in out
