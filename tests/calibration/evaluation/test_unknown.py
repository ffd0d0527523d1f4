"""`ser-calibrate unknown`: the gate on speech and on noise, the rules of `unknown`, and the command."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import soundfile

from support.run_folder import make_corpus, make_run

for module in ("torch", "scipy", "onnx"):
    pytest.importorskip(module, reason="the train extra is not installed")

from ser_calibration.cli.main import main  # noqa: E402
from ser_calibration.evaluation.gate_evaluation import find_false_alarms, segment_recordings  # noqa: E402
from ser_calibration.evaluation.noise_stream import NOT_NOISE, NoiseClip, noise_clips, noise_sources  # noqa: E402
from ser_calibration.evaluation.ood import fit_scorer  # noqa: E402
from ser_calibration.evaluation.selective_classification import UnknownRule  # noqa: E402
from ser_calibration.evaluation.unknown import gate_figures  # noqa: E402
from ser_calibration.evaluation.unknown_report import check_targets  # noqa: E402
from ser_model import read_audio  # noqa: E402
from ser_model.scoring.temperature import Temperature  # noqa: E402
from ser_model.training.calibration_files import UNKNOWN_FILE  # noqa: E402
from ser_model.training.data.augment import HELD_OUT_NOISES, AcousticEnvironment  # noqa: E402
from ser_model.training.data.corpus import find_recordings  # noqa: E402
from ser_model.training.folds.predictions import Predictions  # noqa: E402
from ser_model.types import SAMPLE_RATE  # noqa: E402


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("noise")
    rng = np.random.default_rng(1)
    for place in ("rain/a.wav", "baby_cry/b.wav", "helicopter/c.wav", "running_tap.wav"):
        (root / place).parent.mkdir(exist_ok=True)
        soundfile.write(root / place, 0.1 * rng.standard_normal(40_000), SAMPLE_RATE)
    return root


def test_the_stream_is_reproducible_and_has_the_requested_length(noise: Path) -> None:
    first, again = (list(noise_clips(noise, 100)) for _ in range(2))
    assert sum(len(clip.samples) for clip in first) == 100 * SAMPLE_RATE
    for one, other in zip(first, again, strict=True):
        assert one.name == other.name
        np.testing.assert_array_equal(one.samples, other.samples)
    other_seed = next(noise_clips(noise, 100, seed=1))
    assert len(other_seed.samples) != len(first[0].samples)


def test_the_stream_holds_no_kinds_that_training_uses_and_no_voices(noise: Path) -> None:
    assert {"rain (recorded)", "running_tap (recorded)", "tones", "keyboard"} <= set(noise_sources(noise))
    assert not {"helicopter (recorded)", "baby_cry (recorded)"} & set(noise_sources(noise))
    assert "helicopter (recorded)" in noise_sources(noise, every_kind=True)
    assert set(NOT_NOISE) <= set(HELD_OUT_NOISES)


def test_speech_in_the_stream_is_a_false_alarm_and_quiet_is_none(corpus: Path) -> None:
    sentence = read_audio(find_recordings(corpus).recordings[0].path)
    quiet = (3 * np.random.default_rng(0).standard_normal(3 * SAMPLE_RATE)).astype(np.int16)
    assert find_false_alarms([NoiseClip("quiet", quiet)]) == ([], len(quiet))
    found, samples = find_false_alarms(
        [NoiseClip("quiet", quiet), NoiseClip("radio", sentence), NoiseClip("quiet", quiet)]
    )
    assert [one.name for one in found] == ["radio"]
    assert samples == 2 * len(quiet) + len(sentence)
    assert 0 < found[0].voiced < found[0].samples < samples
    assert found[0].frames.shape[1] == 46


def test_only_an_overlapping_utterance_counts_as_found(corpus: Path) -> None:
    recordings = find_recordings(corpus)
    found = segment_recordings(recordings, AcousticEnvironment(), None, 1)
    assert gate_figures(found)["one"] == 1.0
    assert all(one.voiced > 0 and one.outside == 0 for one in found)


def test_the_first_reason_that_holds_is_reported() -> None:
    logits = np.zeros((4, 8))
    logits[:3, 2] = 5.0
    scores = np.array([1.0, 3.0, 1.0, 3.0])
    voiced = np.array([16_000, 16_000, 100, 100])
    rule = UnknownRule(temperature=Temperature(1.0, 1.0), threshold=0.5, limit=2.0)
    assert rule.reasons(logits, scores, voiced) == [None, "unlike-speech", "too-short", "too-short"]
    assert rule.reasons(logits[3:], scores[:1], voiced[:1]) == ["low-confidence"]
    assert rule.labelled(logits, scores, voiced).tolist() == [True, False, False, False]
    assert rule.labelled(np.zeros((0, 8)), np.zeros(0), np.zeros(0)).shape == (0,)


def test_the_fitted_distance_uses_the_covariance_of_the_speech() -> None:
    rng = np.random.default_rng(0)
    emotions = rng.integers(0, 8, 4000)
    centres = 5 * rng.standard_normal((8, 4))
    stretch = np.diag([4.0, 1.0, 1.0, 0.25])
    embeddings = (centres[emotions] + rng.standard_normal((4000, 4)) @ stretch).astype(np.float32)
    known = Predictions(np.arange(4000), np.zeros((4000, 8)), embeddings, np.zeros(4000, np.int64))
    scorer = fit_scorer("mahalanobis", known, emotions, 1.0, 1.0)
    along, across = (centres[:1] + np.array(offset) for offset in ([4.0, 0, 0, 0], [0, 0, 0, 4.0]))
    near, far = (scorer.scores(np.zeros((1, 8)), point)[0] for point in (along, across))
    assert near < 2
    assert far > 20 * near
    assert np.allclose(np.tril(np.array(scorer.parameters.whitening), -1), 0)


def result(**changes: float) -> dict[str, object]:
    values = {"labelled": 0.7, "precision": 0.76, "found": 0.97, "given": 0, "open": 0.005, **changes}
    return {
        "precision": 0.75,
        "clean": [
            {"labelled": values["labelled"], "precision": values["precision"], "labelled_in_hour": [values["given"]]}
        ],
        "gate": {"snr-10": {"found": values["found"]}},
        "hour": {"open": values["open"]},
        "final": None,
    }


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({}, None),
        ({"labelled": 0.0, "precision": 0.0}, "labelled"),
        ({"precision": 0.70}, "right of those"),
        ({"precision": 0.80}, "right of those"),
        ({"found": 0.9}, "found at"),
        ({"given": 1}, "noise labelled"),
        ({"open": 0.02}, "gate open"),
    ],
)
def test_a_missed_target_is_reported(change: dict[str, float], line: str | None) -> None:
    missed = [row for row in check_targets(result(**change)) if row.startswith("MISSED")]
    assert bool(missed) == (line is not None)
    assert all(line in " ".join(missed) for line in [line or ""])


def test_the_command_prints_all_figures(
    corpus: Path, noise: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(corpus, tmp_path / "runs" / "one")
    command = ["unknown", str(run), "--data", str(corpus), "--noise", str(noise), "--seconds", "30"]
    assert main([*command, "--workers", "1"]) == 0
    out = capsys.readouterr().out
    for words in ("labelled", "right of those", "unseen noise", "30 s without speech", "not trained yet", "target"):
        assert words in out
    written = json.loads((run / UNKNOWN_FILE).read_text())
    assert written["final"] is None
    row = written["clean"][0]
    shares = [row["labelled"], row["missed"], *row["reasons"].values()]
    assert sum(shares) == pytest.approx(1)
    assert list(islice(written["gate"], 2)) == ["clean", "snr-10"]
