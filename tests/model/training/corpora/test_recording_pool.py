"""What is learned from the recordings of several corpora, and who is held out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ser_model.labels import LABELS
from ser_model.training.data.corpus_frames import CorpusFrames
from ser_model.training.data.labelled_corpus import LabelledCorpus, LabelledRecording

pytest.importorskip("torch", reason="the train extra is not installed")

import torch

from ser_model.training.corpora.held_out import HeldOut, corpus_networks, divide_all, fold_networks
from ser_model.training.corpora.recording_pool import RecordingPool, TargetConfig
from ser_model.training.networks.fit import fit
from ser_model.training.networks.fit_config import FitConfig
from ser_model.training.networks.frame_store import FrameStore
from ser_model.training.networks.inference import predict
from ser_model.training.networks.training_step import ExampleTargets, Task

NEUTRAL, CALM, HAPPY, SAD, ANGRY, *_ = range(8)


def part(
    name: str, rows: list[tuple[str, int | None]], votes: dict[int, tuple[float, ...]] | None = None
) -> CorpusFrames:
    recordings = tuple(
        LabelledRecording(
            path=Path("x"), name=str(at), speaker=f"{name}/{speaker}", emotion=emotion, votes=(votes or {}).get(at)
        )
        for at, (speaker, emotion) in enumerate(rows)
    )
    corpus = LabelledCorpus(name=name, root=Path(name), recordings=recordings, identity=(name,) * len(rows))
    rng = np.random.default_rng(len(rows))
    frames = [[rng.normal(one or 0, 1, (12, 46)).astype(np.float32)] for _, one in rows]
    return CorpusFrames(corpus, frames, np.ones(len(rows), np.int64), [np.arange(12)] * len(rows))


def heard(**votes: float) -> tuple[float, ...]:
    return tuple(votes.get(label, 0.0) for label in LABELS)


@pytest.fixture
def pool() -> RecordingPool:
    one = part("one", [("a", NEUTRAL), ("a", ANGRY), ("b", NEUTRAL), ("b", CALM)])
    two = part("two", [("a", SAD), ("a", SAD), ("b", ANGRY)], {0: heard(sad=1, angry=3), 1: heard(happy=5)})
    return RecordingPool((one, two, part("three", [("a", None)])))


def test_the_loss_distinguishes_the_classes_of_the_corpus(pool: RecordingPool) -> None:
    classes = pool.targets(TargetConfig()).classes
    assert [LABELS[at] for at in np.flatnonzero(classes[0])] == ["neutral", "calm", "angry"]
    assert [LABELS[at] for at in np.flatnonzero(classes[4])] == ["sad", "angry"]
    assert [LABELS[at] for at in np.flatnonzero(~classes[7])] == ["calm"]
    assert pool.targets(TargetConfig(all_classes=True)).classes.all()


def test_votes_share_the_target_with_the_label(pool: RecordingPool) -> None:
    plain, mixed = (pool.targets(TargetConfig(votes=share)).probabilities.numpy() for share in (0.0, 0.6))
    np.testing.assert_array_equal(plain, np.eye(8)[[0, 4, 0, 1, 3, 3, 4, 0]])
    # 0.4 of the label, and 0.6 of the votes: a quarter sad, the rest angry. In the corpus, sad has 0.3875 of all.
    shares = np.array([(0.4 + 0.6 * 0.25) / 0.3875, 0.6 * 0.75 / 0.6125])
    np.testing.assert_allclose(mixed[4, [SAD, ANGRY]], shares / shares.sum(), rtol=1e-6)
    # Votes for classes that the corpus does not have say nothing.
    np.testing.assert_array_equal(mixed[5], plain[5])
    np.testing.assert_allclose(mixed.sum(axis=1), 1, rtol=1e-6)


def test_classes_of_a_corpus_weigh_the_same(pool: RecordingPool) -> None:
    weights = pool.targets(TargetConfig()).weights.numpy()
    assert weights[0] + weights[2] == pytest.approx(weights[1]) == pytest.approx(weights[3])
    assert weights[4] + weights[5] == pytest.approx(weights[6])
    assert weights[:4].mean() == pytest.approx(1)


def test_ordinary_speech_is_learned_on_request_only(pool: RecordingPool) -> None:
    assert pool.learned(TargetConfig()).tolist() == [True] * 7 + [False]
    assert pool.learned(TargetConfig(ordinary=True)).all()


def test_examples_of_a_corpus_are_as_many_as_wanted(pool: RecordingPool) -> None:
    draws = pool.draws(np.array([0, 2, 3, 5, 6]), TargetConfig(examples={"two": 9}))
    assert [(rows.tolist(), count) for rows, count in draws] == [([0, 2, 3], 3), ([5, 6], 9)]


def test_speakers_of_one_fold_of_every_corpus_are_held_out(pool: RecordingPool) -> None:
    folds = divide_all(pool.corpora)
    out = [one.rows(pool, folds) for one in fold_networks([0])]
    assert np.sum(out, axis=0).tolist() == [1] * 8
    for mask in out:
        assert set(pool.speakers[mask]).isdisjoint(pool.speakers[~mask])
    assert not HeldOut(0).rows(pool, folds).any()


def test_a_whole_corpus_is_held_out(pool: RecordingPool) -> None:
    networks = corpus_networks([0, 1], pool.corpora)
    assert [one.name for one in networks[2:4]] == ["seed0-without-three", "seed1-without-one"]
    assert networks[1].rows(pool, []).tolist() == [False] * 4 + [True] * 3 + [False]


def test_a_class_that_a_corpus_lacks_keeps_its_probability() -> None:
    """Without the mask every recording that is not calm lowers calm; with it, it says nothing about calm."""
    rows = part("one", [(str(at), at % 2 * ANGRY) for at in range(64)])
    own = RecordingPool((rows,))
    store = FrameStore(own.frames, "cpu")
    config = FitConfig(variant="h32", epochs=6, label_smoothing=0.0)
    calm = {}
    for every in (False, True):
        targets = own.targets(TargetConfig(all_classes=every))
        task = Task(0, np.arange(64), config, examples=targets, draws=((np.arange(64), 640),))
        (network,) = fit(store, own.emotions, [task])
        logits = predict(network, [versions[0] for versions in own.frames])
        assert np.mean(logits[:, [NEUTRAL, ANGRY]].argmax(axis=1) == np.arange(64) % 2) > 0.9
        scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        calm[every] = scores[:, CALM].mean()
    assert calm[True] < calm[False] / 2


def test_targets_of_all_classes_with_equal_weights_are_the_labels() -> None:
    own = RecordingPool((part("one", [(str(at), at % 8) for at in range(64)]),))
    store = FrameStore(own.frames, "cpu")
    config = FitConfig(variant="h32", epochs=2)
    targets = own.targets(TargetConfig())
    assert targets.classes.all()
    (one,) = fit(store, own.emotions, [Task(0, np.arange(64), config)])
    (other,) = fit(store, own.emotions, [Task(0, np.arange(64), config, examples=targets)])
    for value, same in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(value, same, rtol=1e-3, atol=1e-4)


def test_the_weight_of_a_recording_is_that_of_its_loss() -> None:
    """Recordings that sound alike have two labels; those of larger weight decide."""
    own = RecordingPool((part("one", [(str(at), NEUTRAL) for at in range(32)]),))
    store = FrameStore([own.frames[0]] * 32, "cpu")
    labels = np.arange(32) % 2 * ANGRY
    probabilities = torch.eye(8)[torch.from_numpy(labels)]
    for label in (NEUTRAL, ANGRY):
        weights = torch.from_numpy(np.where(labels == label, 10, 1).astype(np.float32))
        examples = ExampleTargets(probabilities, torch.ones(32, 8, dtype=torch.bool), weights)
        config = FitConfig(variant="h32", epochs=6)
        task = Task(0, np.arange(32), config, examples=examples, draws=((np.arange(32), 640),))
        (network,) = fit(store, own.emotions, [task])
        assert predict(network, own.frames[0]).argmax() == label


def test_a_corpus_that_is_only_measured_teaches_nothing(pool: RecordingPool) -> None:
    config = TargetConfig(ordinary=True, only_measured=("two",))
    assert pool.learned(config).tolist() == [True] * 4 + [False] * 3 + [True]


def test_a_label_that_is_never_given_is_wrong_everywhere(pool: RecordingPool) -> None:
    targets = pool.targets(TargetConfig(never=("surprised",)))
    at = LABELS.index("surprised")
    assert targets.classes[:, at].all()
    assert not targets.probabilities[:, at].any()


def test_what_is_right_where_a_corpus_has_only_one_of_neutral_and_calm(pool: RecordingPool) -> None:
    def names(row: int) -> list[str]:
        return [LABELS[at] for at in np.flatnonzero(pool.accepted[row])]

    assert names(0) == ["neutral"]
    assert names(3) == ["calm"]
    assert names(4) == ["sad"]
    assert names(7) == ["neutral", "calm"]
    other = RecordingPool((part("four", [("a", NEUTRAL), ("b", ANGRY)]),))
    assert [LABELS[at] for at in np.flatnonzero(other.accepted[0])] == ["neutral", "calm"]


def test_votes_count_every_label_the_same() -> None:
    """Half of all votes are for neutral: a recording with as many of them as usual is no more neutral than angry."""
    rows = [("a", NEUTRAL), ("a", ANGRY), ("b", NEUTRAL), ("b", ANGRY)]
    votes = {at: heard(neutral=6, angry=2) if at % 2 == 0 else heard(neutral=4, angry=4) for at in range(4)}
    targets = RecordingPool((part("one", rows, votes),)).targets(TargetConfig(votes=1.0))
    share = targets.probabilities.mean(dim=0)
    assert share[NEUTRAL].item() == pytest.approx(share[ANGRY].item(), abs=0.03)
    assert targets.probabilities[1, ANGRY] > 0.6
    assert torch.allclose(targets.probabilities.sum(dim=1), torch.ones(4))
