"""Speakers are divided into even folds, the same for the same seed."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ser_model.errors import SerError
from ser_model.training.data.corpus_folder import open_corpus
from ser_model.training.data.labelled_corpus import LabelledCorpus, LabelledRecording
from ser_model.training.data.speaker_folds import divide_speakers
from support.corpora import COLUMNS, make_corpus, write_index


def corpus_of(counts: dict[str, dict[int, int]], sexes: dict[str, str] | None = None) -> LabelledCorpus:
    """A corpus with, for each speaker, so many recordings of each class."""
    recordings = tuple(
        LabelledRecording(
            path=Path("x.wav"),
            name=f"{speaker}-{emotion}-{number}",
            speaker=speaker,
            emotion=emotion,
            sex=(sexes or {}).get(speaker, ""),
        )
        for speaker, own in counts.items()
        for emotion, count in own.items()
        for number in range(count)
    )
    return LabelledCorpus(name="c", root=Path("c"), recordings=recordings, identity=())


EVEN = {f"s{number:02d}": {0: 3, 4: 3} for number in range(20)}


def test_every_speaker_is_in_exactly_one_fold() -> None:
    folds = divide_speakers(corpus_of(EVEN))
    assert sorted(speaker for fold in folds for speaker in fold) == sorted(EVEN)
    assert [len(fold) for fold in folds] == [4] * 5


def test_the_same_seed_gives_the_same_folds_and_another_one_others() -> None:
    corpus = corpus_of(EVEN)
    assert divide_speakers(corpus, seed=3) == divide_speakers(corpus, seed=3) != divide_speakers(corpus, seed=4)


def test_classes_and_sexes_are_even_though_speakers_differ() -> None:
    rng = np.random.default_rng(0)
    counts = {f"s{n}": {e: int(rng.integers(0, 12)) for e in (0, 2, 4)} for n in range(40)}
    sexes = {speaker: "female" if number < 15 else "male" for number, speaker in enumerate(counts)}
    corpus = corpus_of(counts, sexes)
    total = Counter((one.emotion, one.sex) for one in corpus.recordings)
    for fold in divide_speakers(corpus):
        own = [one for one in corpus.recordings if one.speaker in fold]
        for emotion in (0, 2, 4):
            everywhere = sum(count for (one, _), count in total.items() if one == emotion)
            assert abs(sum(one.emotion == emotion for one in own) / everywhere - 0.2) < 0.05
        women = sum(count for (_, sex), count in total.items() if sex == "female")
        assert abs(sum(one.sex == "female" for one in own) / women - 0.2) < 0.1


def test_fewer_speakers_than_folds_are_refused() -> None:
    with pytest.raises(SerError, match="c: has 3 speakers, expected at least one for each of 5 folds"):
        divide_speakers(corpus_of({name: {0: 1, 4: 1} for name in "abc"}))


def test_a_class_that_would_be_empty_in_a_training_is_refused() -> None:
    counts = {name: {0: 2} for name in "abcdef"} | {"g": {0: 2, 4: 2}}
    with pytest.raises(SerError, match=r"only speakers of fold \d are angry, so the training for that fold has"):
        divide_speakers(corpus_of(counts))


def test_the_folds_that_an_index_names_are_kept(tmp_path: Path) -> None:
    root = make_corpus(tmp_path / "mine", ("a", "b", "c"), more={"fold": 7})
    with (root / "index.csv").open() as file:
        rows = [row | {"fold": "7" if row["speaker"] == "b" else "2"} for row in csv.DictReader(file)]
    with pytest.raises(SerError, match="names one fold only"):
        divide_speakers(open_corpus(root))
    write_index(root, rows, (*COLUMNS, "fold"))
    assert divide_speakers(open_corpus(root)) == ({"mine/a", "mine/c"}, {"mine/b"})


@pytest.mark.parametrize("name", ["aesdd", "crema-d", "emodb", "indian-commands", "nemo", "ordinary"])
def test_the_real_corpora_are_divided_evenly(corpora: Path, name: str) -> None:
    corpus = open_corpus(corpora / name)
    folds = divide_speakers(corpus)
    sizes = [sum(one.speaker in fold for one in corpus.recordings) / len(corpus.recordings) for fold in folds]
    # Six speakers cannot be divided evenly.
    assert max(sizes) < (0.35 if name == "aesdd" else 0.24)
    assert sorted(speaker for fold in folds for speaker in fold) == sorted(corpus.speakers)
