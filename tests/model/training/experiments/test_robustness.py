"""Acoustic conditions change recordings as they should, and the predictions under them are counted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser_model.cli.main import main
from ser_model.training.data.acoustic_conditions import (
    CLEAN,
    CONDITIONS,
    Condition,
    apply,
    load_held_out,
    noise_index,
    simulate_telephone,
)
from ser_model.training.data.augment import HELD_OUT_NOISES, AcousticEnvironment
from ser_model.training.data.corpus import TEST_ACTORS, find_recordings
from ser_model.training.data.dataset import Dataset
from ser_model.training.data.segmentation import PADDING
from ser_model.types import SAMPLE_RATE, Frames
from support.run_folder import make_corpus, make_run

for module in ("torch", "scipy", "onnx"):
    pytest.importorskip(module, reason="the train extra is not installed")

from ser_model.training.experiments.robustness import score  # noqa: E402
from ser_model.training.folds.run_folder import RunFolder  # noqa: E402

RNG = np.random.default_rng(3)
NOISES = [RNG.normal(0, 0.1, 3 * SAMPLE_RATE).astype(np.float32) for _ in range(4)]
BY_NAME = {condition.name: condition for condition in CONDITIONS}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus"))


def sine(frequency: float, level: float = 0.3) -> np.ndarray:
    time = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    return np.rint(32768 * level * np.sin(2 * np.pi * frequency * time)).astype(np.int16)


def db(wave: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(wave[2000:-2000], dtype=np.float64)) + 1e-20))


def under(condition: Condition, speech: np.ndarray, held_out: AcousticEnvironment, name: str = "one") -> np.ndarray:
    """Apply a condition to a recording, and remove the padding."""
    whole = apply(condition, speech, held_out, name)
    assert len(whole) == len(speech) + 2 * PADDING
    return whole[PADDING:-PADDING]


def test_noise_is_added_at_the_ratio_and_is_the_same_at_every_ratio() -> None:
    # All parts of a square wave are equally loud, so that the ratio can be measured.
    speech = np.where(sine(100) >= 0, 3000, -3000).astype(np.int16)
    noises = {}
    for name in ("snr-20", "snr-10", "snr-5"):
        condition = BY_NAME[name]
        noisy = under(condition, speech, AcousticEnvironment(NOISES)).astype(np.float64)
        noises[name] = noisy - speech
        assert condition.snr_db is not None
        assert db(speech) - db(noises[name]) == pytest.approx(condition.snr_db, abs=0.3)
    assert np.corrcoef(noises["snr-20"], noises["snr-5"])[0, 1] > 0.999


def test_the_noise_depends_on_the_recordings_name_alone() -> None:
    condition, speech = BY_NAME["snr-10"], sine(200)
    one, again, other = (
        apply(condition, speech, AcousticEnvironment(NOISES), name) for name in ("one", "one", "other")
    )
    np.testing.assert_array_equal(one, again)
    assert np.abs(one.astype(int) - other).max() > 100


def test_the_noise_of_a_recording_is_known() -> None:
    kinds = AcousticEnvironment([np.full(50_000, level, dtype=np.float32) for level in (1.0, -1.0)])
    quiet = np.zeros(SAMPLE_RATE, dtype=np.int16)
    quiet[::2] = 3000
    for name in ("one", "two", "three", "four", "five"):
        shift = float(np.mean(under(BY_NAME["snr-10"], quiet, kinds, name).astype(float) - quiet))
        assert (shift < 0) == bool(noise_index(name, 2))


def test_the_cost_of_each_kind_of_noise_is_counted(corpus: Path, tmp_path: Path) -> None:
    run = RunFolder.open(make_run(corpus, tmp_path / "run"))
    kinds = np.array(["rain", "sea_waves"] * (len(run.names) // 2))
    clean, noisy = dataset_of(run, corpus, 1), dataset_of(run, corpus, 1)
    noisy.utterances[kinds == "rain"] = 0
    rows = score(run, {CLEAN: clean, BY_NAME["snr-20"]: noisy}, kinds)["conditions"]
    by_noise = rows["snr-20"]["by_noise"]
    assert by_noise["sea_waves"] == {"recordings": len(run.names) // 2, "loss_points": 0}
    assert by_noise["rain"]["loss_points"] > 0
    assert "by_noise" not in rows["clean"]


def test_levels_change_by_a_gain_and_clip() -> None:
    speech = sine(200, level=0.5)
    quiet, loud = (under(BY_NAME[name], speech, AcousticEnvironment()) for name in ("quiet", "loud"))
    np.testing.assert_allclose(quiet, speech / 10, atol=0.51)
    assert (loud.max(), loud.min()) == (32767, -32768)
    np.testing.assert_array_equal(under(CLEAN, speech, AcousticEnvironment()), speech)


def test_a_telephone_passes_its_band_only() -> None:
    for frequency, least, most in (
        (100, -200, -40),
        (1000, -1, 1),
        (3000, -1, 1),
        (3900, -200, -15),
        (6000, -200, -40),
    ):
        wave = sine(frequency).astype(np.float32) / 32768
        narrow = simulate_telephone(wave)
        assert narrow.shape == wave.shape
        assert least <= db(narrow) - db(wave) <= most, frequency


def test_reverberation_keeps_the_level_of_the_speech() -> None:
    response = np.zeros(8000, dtype=np.float32)
    response[[100, 4000]] = 0.5, 0.4
    speech = sine(300)
    wet = under(BY_NAME["room"], speech, AcousticEnvironment(rooms=[response]))
    assert db(wet) == pytest.approx(db(speech), abs=0.5)
    assert np.abs(wet.astype(int) - speech).max() > 1000


def test_held_out_noises_and_those_of_training_are_apart(tmp_path: Path) -> None:
    for place, value in (("rain/a.wav", 0.25), ("helicopter/b.wav", 0.5), ("running_tap.wav", 0.125)):
        path = tmp_path / place
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, np.full(100, value), SAMPLE_RATE)
    held_out = sorted(float(noise[0]) for noise in load_held_out(tmp_path, None).noises)
    trained_on = sorted(float(noise[0]) for noise in AcousticEnvironment.load(tmp_path, None).noises)
    assert (held_out, trained_on) == ([0.125, 0.25], [0.5])


def dataset_of(run: RunFolder, corpus: Path, utterances: int) -> Dataset:
    frames: Frames = np.random.default_rng(1).normal(0, 1, (40, 46)).astype(np.float32)
    count = len(run.names)
    voiced = [np.arange(40)] * count
    return Dataset(find_recordings(corpus).recordings, [[frames]] * count, np.full(count, utterances), voiced)


def test_every_fold_predicts_its_actors_and_missed_recordings_are_errors(corpus: Path, tmp_path: Path) -> None:
    run = RunFolder.open(make_run(corpus, tmp_path / "run", seeds=2))
    missed, split = (Condition(name=name, title=name) for name in ("missed", "split"))
    result = score(
        run,
        {CLEAN: dataset_of(run, corpus, 1), missed: dataset_of(run, corpus, 0), split: dataset_of(run, corpus, 2)},
        np.array([]),
    )
    # The network of fold f always predicts f: emotions 0 and 4 are recognised in folds 0 and 4 only.
    shares = [len(TEST_ACTORS[0]) / 24, len(TEST_ACTORS[4]) / 24]
    rows = result["conditions"]
    assert rows["clean"]["uar"]["mean"] == pytest.approx(np.mean(shares))
    assert rows["clean"]["uar"]["seeds"] == [rows["clean"]["uar"]["mean"]] * 2
    assert rows["clean"]["uar_14_actors"]["mean"] == pytest.approx(np.mean([2 / 14, 3 / 14]))
    for name in ("missed", "split"):
        assert rows[name]["uar"]["mean"] == 0
        assert rows[name]["loss_points"] == pytest.approx(100 * np.mean(shares))
    assert [rows[name]["missed"] for name in rows] == [0, 1, 0]
    assert [rows[name]["split"] for name in rows] == [0, 0, 1]


def test_the_command_measures_and_caches(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(corpus, tmp_path / "runs" / "one", seeds=2)
    noise = tmp_path / "noise"
    (noise / "rain").mkdir(parents=True)
    soundfile.write(noise / "rain" / "a.wav", NOISES[0], SAMPLE_RATE)
    command = ["robustness", str(run), "--data", str(corpus), "--noise", str(noise), "--seeds", "1"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "telephone" in out
    assert "Left out for want of --noise or --rooms: in a kitchen." in out
    result = json.loads((run / "robustness.json").read_text())
    assert result["seeds"] == [0]
    assert set(result["conditions"]) == {"clean", *BY_NAME} - {"room"}
    assert result["conditions"]["quiet"]["missed"] == result["conditions"]["clean"]["missed"] == 0

    cached = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs" / "cache").iterdir()}
    assert len(cached) == len(result["conditions"])
    assert main(command) == 0
    assert {path: path.stat().st_mtime_ns for path in cached} == cached
    assert json.loads((run / "robustness.json").read_text()) == result


@pytest.mark.parametrize(
    ("change", "arguments", "sentence"),
    [
        ("", ["--noise", "nowhere"], "nowhere: expected a folder of WAV or FLAC files"),
        ("", ["--noise", "empty"], "empty: found no WAV or FLAC file or folder that is kept from training (rain,"),
        ("", ["--data", "nowhere"], "nowhere: expected the RAVDESS folder"),
        ("", ["--seeds", "2"], "run: expected 2 seeds with all five folds, found 1"),
        ("recordings.json", [], "run: expected the --output folder of `ser-model train`, found no recordings.json"),
        ("settings.json", [], "run/settings.json: is damaged"),
        ("seed0-fold2-test.pt", [], "run/seed0-fold2-test.pt: is damaged or holds another network"),
    ],
)
def test_invalid_input_is_reported_in_one_sentence(
    change: str,
    arguments: list[str],
    sentence: str,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    run = make_run(corpus, Path("run"))
    if change == "recordings.json":
        (run / change).unlink()
    elif change:
        (run / change).write_text("nonsense")
    assert HELD_OUT_NOISES[0] == "rain"
    assert main(["windows" if change else "robustness", "run", "--data", str(corpus), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"ser-model: {sentence}")
    assert error.count("\n") == 1
