"""Teachers never hear what their student must not hear, and soften the target only where they know something."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ser_model.labels import LABELS
from ser_model.training.data.corpus_frames import CorpusFrames
from ser_model.training.data.labelled_corpus import LabelledCorpus, LabelledRecording

pytest.importorskip("torch", reason="the train extra is not installed")

from ser_model.training.corpora.held_out import HeldOut, corpus_networks, divide_all, fold_networks
from ser_model.training.corpora.recording_pool import RecordingPool, TargetConfig
from ser_model.training.corpora.teachers import mean_posterior, teachers_of
from ser_model.training.scores import posterior

CONFIG = TargetConfig(teachers=0.5, ordinary=True, only_measured=("measured",))
NEUTRAL, CALM, HAPPY, SAD, ANGRY, *_ = range(8)


def part(name: str, emotions: list[int | None]) -> CorpusFrames:
    recordings = tuple(
        LabelledRecording(path=Path("x"), name=str(at), speaker=f"{name}/{at // 2}", emotion=emotion)
        for at, emotion in enumerate(emotions)
    )
    corpus = LabelledCorpus(name=name, root=Path(name), recordings=recordings, identity=(name,) * len(emotions))
    frames = [[np.zeros((4, 46), np.float32)] for _ in emotions]
    return CorpusFrames(corpus, frames, np.ones(len(emotions), np.int64), [np.arange(4)] * len(emotions))


@pytest.fixture
def pool() -> RecordingPool:
    return RecordingPool(
        (
            part("one", [NEUTRAL, HAPPY, ANGRY, NEUTRAL]),
            part("two", [NEUTRAL, SAD, SAD, ANGRY]),
            part("three", [CALM, ANGRY, CALM, HAPPY]),
            part("measured", [HAPPY, SAD]),
            part("ordinary", [None, None]),
        )
    )


@pytest.mark.parametrize(
    ("student", "teachers"),
    [
        (HeldOut(1, corpus="one"), [("one", "two"), ("one", "three")]),
        (HeldOut(0, corpus="measured"), [("one",), ("two",), ("three",)]),
        (HeldOut(0, corpus="ordinary"), [("one", "ordinary"), ("ordinary", "two"), ("ordinary", "three")]),
        (HeldOut(0), [("one",), ("two",), ("three",)]),
        (HeldOut(2, fold=3), [("one",), ("two",), ("three",)]),
    ],
)
def test_each_teacher_knows_one_corpus_less_than_its_student(
    pool: RecordingPool, student: HeldOut, teachers: list[tuple[str, ...]]
) -> None:
    found = teachers_of(student, pool, CONFIG)
    assert [set(one.teacher_without) for one in found] == [set(names) for names in teachers]
    assert {(one.seed, one.fold) for one in found} == {(0, student.fold)}


def test_no_teacher_hears_what_its_student_must_not_hear(pool: RecordingPool) -> None:
    folds = divide_all(pool.corpora)
    learned = pool.learned(CONFIG)
    students = [*corpus_networks([0, 1], pool.corpora), *fold_networks([0])]
    for student in students:
        hidden = student.rows(pool, folds) | ~learned
        for teacher in teachers_of(student, pool, CONFIG):
            heard = ~teacher.rows(pool, folds) & learned
            assert not (heard & hidden).any(), (student.name, teacher.name)
            assert (heard != ~hidden).any()


def test_two_students_share_a_teacher(pool: RecordingPool) -> None:
    names = [{one.name for one in teachers_of(HeldOut(0, corpus=name), pool, CONFIG)} for name in ("one", "two")]
    assert names[0] & names[1] == {"seed0-teacher-without-one+two"}
    assert teachers_of(HeldOut(0, fold=2), pool, CONFIG)[0].name == "seed0-fold2-teacher-without-one"


def test_without_a_share_and_for_teachers_there_are_none(pool: RecordingPool) -> None:
    assert teachers_of(HeldOut(0), pool, TargetConfig()) == []
    assert teachers_of(teachers_of(HeldOut(0), pool, CONFIG)[0], pool, CONFIG) == []


def test_the_target_is_shared_with_what_the_teachers_know(pool: RecordingPool, tmp_path: Path) -> None:
    teachers = teachers_of(HeldOut(0), pool, CONFIG)
    logits = np.random.default_rng(1).normal(size=(len(pool.emotions), 8))
    for one in teachers:
        np.savez(tmp_path / f"{one.name}.npz", index=np.arange(1, len(logits)), logits=logits[1:])
    taught = mean_posterior(teachers, pool, CONFIG, tmp_path)
    # Only "three" has calm, and only "two" has sad: one of the teachers never learned it.
    expected = posterior(logits[1:])
    np.testing.assert_allclose(taught[1:, NEUTRAL], expected[:, NEUTRAL], rtol=1e-5)
    np.testing.assert_allclose(taught[1:, [CALM, SAD]], expected[:, [CALM, SAD]] * 2 / 3, rtol=1e-5)
    plain = pool.targets(CONFIG).probabilities.numpy()
    mixed = pool.targets(CONFIG, taught).probabilities.numpy()
    np.testing.assert_array_equal(mixed[0], plain[0])
    np.testing.assert_allclose(mixed.sum(axis=1), 1, rtol=1e-5)
    assert np.all(mixed[1:].max(axis=1) < 1)
    assert np.all(mixed[np.arange(len(plain)), plain.argmax(axis=1)] >= 0.5)
    # Nothing goes to a class that the corpus does not have.
    assert [LABELS[at] for at in np.flatnonzero(mixed[1] > 0)] == ["neutral", "happy", "angry"]
