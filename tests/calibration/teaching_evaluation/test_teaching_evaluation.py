"""`ser-calibrate teaching`: draws, gains and their intervals, speakers whose examples must help, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the train extra is not installed")

from ser_calibration.cli.main import main as calibrate
from ser_calibration.cross_corpus.fitting import StrangerCalibration
from ser_calibration.evaluation.adaptation import unexported_metadata
from ser_calibration.teaching_evaluation import settings
from ser_calibration.teaching_evaluation.conditions import RECORDINGS, change_recordings, choose_recordings
from ser_calibration.teaching_evaluation.draws import DRAWS, Draw, best_of, draw_speakers, is_strong, recall
from ser_calibration.teaching_evaluation.gains import Gain, summarise
from ser_calibration.teaching_evaluation.listeners import Heard, Listener, apply_head
from ser_calibration.teaching_evaluation.lives import live
from ser_calibration.teaching_evaluation.scenarios import measure_confidence, teach_all
from ser_model.cli.main import main
from ser_model.features.features import SIZE
from ser_model.labels import LABELS
from ser_model.scoring.activation import ActivationParameters
from ser_model.scoring.temperature import Temperature
from ser_model.training.corpora.corpora_run import CorporaRun, load_pool, open_corpora
from ser_model.training.corpora.recording_pool import RecordingPool, TargetConfig
from ser_model.training.data.corpus_frames import CorpusFrames
from ser_model.training.data.labelled_corpus import LabelledCorpus, LabelledRecording
from ser_model.training.folds.predictions import Predictions
from ser_model.training.networks.fit_config import FitConfig
from support.corpora import make_corpus
from support.speech import sentence

HIDDEN = 12
LETTERS = {"neutral": 0, "happy": 2, "sad": 3, "angry": 4, "fearful": 5}


def make_listener(group: str = "one", seed: int = 0, apart: float = 3.0) -> Listener:
    """Three speakers; the network hears nothing but neutral, though its embedding tells the labels of each apart."""
    rng = np.random.default_rng(seed)
    names = [f"{speaker}/{label}-{at}" for speaker in "abc" for label in LETTERS for at in range(12)]
    recordings = tuple(
        LabelledRecording(
            path=Path("x"), name=name, speaker=f"{group}/{name[0]}", emotion=LETTERS[name[2:].split("-")[0]]
        )
        for name in names
    )
    count = len(recordings)
    corpus = LabelledCorpus(name=group, root=Path("x"), recordings=recordings, identity=tuple(names))
    frames = [[rng.normal(size=(20, SIZE)).astype(np.float32)] * 2 for _ in range(count)]
    pool = RecordingPool((CorpusFrames(corpus, frames, np.ones(count, np.int64), [np.arange(20)] * count),))
    directions = {f"{group}/{speaker}": apart * rng.normal(size=(len(LABELS), HIDDEN)) for speaker in "abc"}

    def hear() -> tuple[np.ndarray, np.ndarray]:
        logits = np.tile(np.eye(8)[0] * 1.0, (count, 1)) + rng.normal(0, 0.3, (count, 8))
        placed = np.stack([directions[one.speaker][one.emotion] for one in recordings if one.emotion is not None])
        return logits.astype(np.float32), (placed + rng.normal(size=placed.shape)).astype(np.float32)

    own, versions, noisy = hear(), hear(), hear()
    every = np.arange(count)
    means = tuple(map(tuple, np.eye(8).tolist()))
    return Listener(
        group,
        0,
        pool,
        Predictions(every, *own, np.full(count, 30_000)),
        StrangerCalibration(np.zeros(8), Temperature(1.0, 1.0), 0.5, ActivationParameters(1.0, 0.0, 0.5)),
        (),
        unexported_metadata(means, (0.0,) * SIZE, (1.0,) * SIZE),
        Heard(every, *versions),
        {"noise": Heard(every[:60], noisy[0][:60], noisy[1][:60])},
    )


@pytest.fixture(scope="module")
def listener() -> Listener:
    return make_listener()


@pytest.fixture(scope="module")
def draws(listener: Listener) -> list[Draw]:
    return list(draw_speakers(listener))


def test_every_speaker_is_drawn_and_again_the_same(listener: Listener, draws: list[Draw]) -> None:
    assert [one.speaker for one in draws] == [f"one/{name}" for name in "abc" for _ in range(DRAWS)]
    again = list(draw_speakers(listener))
    for one, other in zip(draws, again, strict=True):
        assert np.array_equal(one.rows, other.rows)
    assert not np.array_equal(draws[0].rows, draws[1].rows)


def test_examples_are_of_the_labels_and_one_utterance_is_always_left(listener: Listener, draws: list[Draw]) -> None:
    for count, expected in ((1, 1), (3, 3), (50, 11)):
        truth = listener.truth[draws[0].examples(count)]
        assert np.bincount(truth)[list(LETTERS.values())].tolist() == [expected] * len(LETTERS)
    some = draws[0].some_labels(3)
    assert len(some) == 3
    assert some[0] == LABELS.index("neutral")
    assert set(listener.truth[draws[0].examples(2, some)]) == set(some)


@pytest.mark.parametrize(("share", "wrong"), [(0.0, 0), (0.1, 2), (0.2, 3), (1.0, 15)])
def test_just_so_many_are_mislabelled(listener: Listener, draws: list[Draw], share: float, wrong: int) -> None:
    truth = listener.truth[draws[0].examples(3)]
    labels = draws[0].mislabel(truth, share)
    assert np.sum(labels != truth) == wrong
    assert set(labels) <= set(LETTERS.values())


@pytest.mark.parametrize(
    ("name", "strong"),
    [
        ("03-01-05-02-01-01-12", True),
        ("Actor_12/03-01-05-01-01-01-12.flac", False),
        ("1001/1001_IEO_ANG_HI.opus", True),
        ("1001/1001_IEO_ANG_LO.opus", False),
        ("1001/1001_IEO_ANG_MD.opus", None),
        ("1001/1001_DFA_ANG_XX.opus", None),
        ("03a01Fa", None),
    ],
)
def test_how_strongly_a_recording_is_acted(name: str, strong: bool | None) -> None:
    assert is_strong(name) is strong


def test_recall_is_of_the_labels_that_occur_and_the_best_of_those_that_may() -> None:
    truth = np.array([0, 0, 0, 2])
    assert recall(truth, np.array([0, 0, 4, 4]), [0, 2, 3]) == pytest.approx((2 / 3 + 0) / 2)
    logits = np.arange(8, dtype=np.float32)[None]
    assert best_of(logits, [0, 5, 3]).tolist() == [5]


def test_gains_are_means_of_speakers_and_the_mean_is_of_corpora() -> None:
    gains = [
        *(Gain("s", "one", "a", 0.5, after) for after in (0.6, 0.8)),
        *(Gain("s", "one", speaker, 0.4, 0.4) for speaker in "bc"),
        *(Gain("s", "two", speaker, 0.5, 0.6) for speaker in "def"),
        *(Gain("s", "crema-d", speaker, 0.5, 0.0) for speaker in "ghi"),
        *(Gain("s", "one, heard", speaker, 0.5, 0.0) for speaker in "abc"),
        *(Gain("s", "few", speaker, 0.5, 0.0) for speaker in "jk"),
    ]
    row = summarise(gains)[0]
    one = row["groups"]["one"]
    assert (one["speakers"], one["before"], one["gain"]) == (3, pytest.approx(1.3 / 3), pytest.approx(20 / 3))
    assert (one["low"], one["high"], one["worst"]) == (pytest.approx(0.0), pytest.approx(20.0), pytest.approx(0.0))
    # Neither the corpus that is looked at by itself counts, nor one that was heard, nor one of two speakers.
    assert row["mean"]["gain"] == pytest.approx((20 / 3 + 10) / 2)
    assert (row["mean"]["low"], row["mean"]["high"]) == (pytest.approx(5.0), pytest.approx(15.0))


def test_examples_help_the_speaker_and_no_label_pays(listener: Listener) -> None:
    rows = {row["scenario"]: row["groups"]["one"] for row in summarise(teach_all(listener))}
    by_count = [rows[f"{count} of each label"]["after"] for count in (1, 3, 10)]
    assert rows["3 of each label"]["before"] < 0.3
    assert by_count == sorted(by_count)
    assert rows["3 of each label"]["gain"] > 50
    assert rows["three labels taught: these"]["gain"] > 30
    assert rows["three labels taught: the others"]["gain"] == pytest.approx(0.0, abs=1e-9)
    assert 0 < rows["20% mislabelled"]["gain"] < rows["3 of each label"]["gain"]
    assert rows["tested with noise"]["gain"] > 40
    assert rows["tested with noise"]["speakers"] == 1
    assert rows["another speaker after teaching"]["gain"] < rows["3 of each label"]["gain"] / 2
    assert "taught strong, tested normal" not in rows


def test_what_is_taught_is_not_tested(listener: Listener, draws: list[Draw]) -> None:
    """Labels at random teach nothing: answers would be better than chance only if examples were tested."""
    rng = np.random.default_rng(0)
    shuffled = make_listener("random", 3, apart=0.0)
    rows = {row["scenario"]: row["groups"]["random"] for row in summarise(teach_all(shuffled))}
    assert abs(rows["5 of each label"]["after"] - 0.2) < 0.06
    examples = draws[0].examples(3)
    head = listener.teach(examples, rng.permutation(listener.truth[examples]))
    assert apply_head(None, listener.spoken, examples) is not None
    assert apply_head(head, listener.spoken, examples).shape == (15, 8)


def test_corrections_in_daily_life_help(listener: Listener) -> None:
    rows = {row["scenario"]: row["groups"]["one"] for row in summarise(live(listener))}
    assert rows["corrections in daily life, UAR"]["gain"] > 30
    assert abs(rows["running adaptation on top, mixed before"]["gain"]) < 5
    assert "running adaptation on top, 70% neutral before" in rows


def test_confidence_is_measured_before_and_after(listener: Listener) -> None:
    before, after = measure_confidence(listener)
    assert (before["when"], after["when"]) == ("before", "after")
    assert after["labelled"] > before["labelled"]
    assert after["right"] > 0.8
    assert all(0 <= one["ece"] <= 1 for one in (before, after))


def test_recordings_for_other_conditions_are_balanced(listener: Listener) -> None:
    chosen = choose_recordings(listener.pool)
    assert len(chosen) == 3 * RECORDINGS
    for speaker in "abc":
        own = [at for at in chosen if listener.pool.speakers[at] == f"one/{speaker}"]
        counts = np.bincount(listener.pool.emotions[own])
        assert counts[list(LETTERS.values())].tolist() == [RECORDINGS // len(LETTERS)] * len(LETTERS)


def test_recordings_in_other_conditions(tmp_path: Path) -> None:
    root = make_corpus(tmp_path / "one", ("a",), ("neutral", "happy", "sad") * 10, sound=sentence())
    config = FitConfig(variant="h32")
    run = CorporaRun(
        folders=(("one", root),), output=tmp_path / "runs" / "run", config=config, targets=TargetConfig(), variants=0
    )
    pool = load_pool(run, open_corpora(run))
    changed = change_recordings(run, pool)
    # There are neither noises nor rooms.
    assert set(changed) == {"telephone band", "20 dB softer"}
    for frames in changed.values():
        assert len(frames) > 20
        at = next(iter(frames))
        assert not np.allclose(frames[at][:50], pool.frames[at][0][:50])
    assert list((tmp_path / "runs" / "cache").glob("*.npz"))


def test_settings_are_chosen_on_the_other_corpora(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("as it is", "precision 8", "reach 1.7")
    monkeypatch.setattr(settings, "SETTINGS", {name: settings.SETTINGS[name] for name in names})
    listeners = [make_listener("one"), make_listener("two", 1)]
    compared = settings.compare_settings(listeners)
    assert tuple(compared["settings"]) == names
    gains = {
        name: [gain for group in one["gains"].values() for gain in [group["two"]]]
        for name, one in compared["settings"].items()
    }
    assert compared["chosen"]["one"] == max(names, key=lambda name: np.mean(gains[name]))
    assert set(compared["chosen"]) == {"one", "two"}


def test_from_a_run_to_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    emotions = ("neutral", "happy", "sad", "angry") * 6
    for name in ("one", "two"):
        make_corpus(tmp_path / name, ("a",), emotions, sound=sentence())
    run = tmp_path / "runs" / "world"
    corpora = [text for name in ("one", "two") for text in ("--corpus", f"{name}={tmp_path / name}")]
    never = [text for label in ("calm", "fearful", "disgust", "surprised") for text in ("--never", label)]
    options = ["--output", str(run), "--epochs", "1", "--variants", "0", "--variant", "h32", *never]
    assert calibrate(["teaching", str(tmp_path)]) == 2
    assert "expected the --output folder of `ser-model cross-corpus`" in capsys.readouterr().err
    assert main(["cross-corpus", *corpora, *options]) == 0
    capsys.readouterr()
    assert calibrate(["teaching", str(run), "--seeds", "1"]) == 0
    assert "UAR by examples of each label; corpora never heard, 1 seed" in capsys.readouterr().out
    result = json.loads((run / "teaching.json").read_text())
    assert result["seeds"] == [0]
    scenarios = {row["scenario"]: row["groups"] for row in result["rows"]}
    assert set(scenarios["3 of each label"]) == {"one", "two"}
    # No speaker has enough recordings for other conditions.
    assert not any(name.startswith("tested") for name in scenarios)
    (run / "seed0-without-two.pt").unlink()
    assert calibrate(["teaching", str(run)]) == 2
    assert "seed0-without-two.pt: is missing" in capsys.readouterr().err
