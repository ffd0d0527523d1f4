"""Any folder with an index is a corpus, or its faults are reported."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ser_model.errors import SerError
from ser_model.labels import LABELS
from ser_model.training.data.corpus import find_recordings
from ser_model.training.data.corpus_folder import is_corpus, open_corpus, read_corpus
from ser_model.training.data.labelled_corpus import check_classes, label_ravdess
from support.corpora import COLUMNS, make_corpus, write_index
from support.run_folder import make_corpus as make_ravdess

VOTES = {"votes_angry": 6, "votes_disgust": 2, "votes_neutral": 0}


def rows_of(root: Path) -> list[dict[str, str]]:
    with (root / "index.csv").open() as file:
        return list(csv.DictReader(file))


def refusal(root: Path) -> str:
    with pytest.raises(SerError) as refused:
        open_corpus(root)
    sentence = str(refused.value)
    assert "\n" not in sentence
    assert sentence.startswith(str(root))
    return sentence


def test_a_folder_with_an_index_is_a_corpus(tmp_path: Path) -> None:
    root = make_corpus(tmp_path / "mine", emotions=("neutral", "angry", "none"))
    corpus = open_corpus(root)
    assert corpus.name == "mine"
    assert corpus.speakers == ("mine/a", "mine/b")
    assert [one.emotion for one in corpus.recordings[:3]] == [0, 4, None]
    assert corpus.emotions.tolist() == [0, 4, -1, 0, 4, -1]
    assert [LABELS[at] for at in np.flatnonzero(corpus.expressible)] == ["neutral", "angry"]
    assert corpus.recordings[1].path == root / "a" / "1-angry.wav"
    assert corpus.recordings[0].sex == ""
    assert corpus.recordings[0].age is corpus.recordings[0].soft_target is corpus.recordings[0].fold is None


def test_its_name_can_be_given_so_that_speakers_of_two_corpora_differ(tmp_path: Path) -> None:
    root = make_corpus(tmp_path / "mine")
    one, other = open_corpus(root, "one"), open_corpus(root, "other")
    assert set(one.speakers).isdisjoint(other.speakers)


def test_other_emotions_are_left_out_and_counted(tmp_path: Path) -> None:
    corpus = open_corpus(make_corpus(tmp_path / "mine", emotions=("sad", "other:boredom", "other:pride")))
    assert [one.emotion for one in corpus.recordings] == [3, 3]
    assert corpus.left_out == {"other:boredom": 2, "other:pride": 2}


def test_what_is_known_of_a_speaker_is_read(tmp_path: Path) -> None:
    more = {"sex": "female", "age": 41, "place": "at home"}
    corpus = open_corpus(make_corpus(tmp_path / "mine", more=more))
    assert {(one.sex, one.age) for one in corpus.recordings} == {("female", 41)}
    assert corpus.languages == ("en",)


def test_votes_become_the_shares_of_the_listeners(tmp_path: Path) -> None:
    root = make_corpus(tmp_path / "mine", more=VOTES)
    rows = rows_of(root)
    rows[1] |= dict.fromkeys(VOTES, "")
    rows[2] |= dict.fromkeys(VOTES, "0")
    write_index(root, rows, (*COLUMNS, *VOTES))
    first, second, third, _ = open_corpus(root).recordings
    assert first.soft_target is not None
    np.testing.assert_allclose(first.soft_target, [0, 0, 0, 0, 0.75, 0, 0.25, 0])
    assert second.votes is None
    assert second.soft_target is third.soft_target is None


def test_an_index_of_a_spreadsheet_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    root = make_corpus(tmp_path / "mine")
    text = (root / "index.csv").read_text()
    (root / "index.csv").write_text("\ufeff" + text.replace("\n", "\r\n"), encoding="utf-8", newline="")
    assert len(open_corpus(root).recordings) == 4


def test_a_recording_that_is_made_again_changes_the_identity(tmp_path: Path) -> None:
    root = make_corpus(tmp_path / "mine")
    before = open_corpus(root).identity
    assert open_corpus(root).identity == before
    (root / "a" / "1-angry.wav").write_bytes(b"another")
    after = open_corpus(root).identity
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, True, True]


def test_a_missing_folder_and_a_missing_index_are_told_apart(tmp_path: Path) -> None:
    assert "found no such folder" in refusal(tmp_path / "nowhere")
    sentence = refusal(tmp_path)
    assert "index.csv: is missing; expected a table with the columns path, speaker, emotion, language" in sentence
    assert not is_corpus(tmp_path)


@pytest.mark.parametrize("column", COLUMNS)
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    root = make_corpus(tmp_path / "mine")
    write_index(root, rows_of(root), [one for one in COLUMNS if one != column])
    assert f"lacks the column {column}" in refusal(root)


def test_missing_files_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    root = make_corpus(tmp_path / "mine")
    for name in ("a/1-angry.wav", "b/0-neutral.wav"):
        (root / name).unlink()
    assert "2 of 4 rows name a file that is missing; the first is line 3, a/1-angry.wav" in refusal(root)


def test_a_folder_is_no_recording(tmp_path: Path) -> None:
    root = make_corpus(tmp_path / "mine")
    write_index(root, [*rows_of(root), {"path": "a", "speaker": "a", "emotion": "sad", "language": "en"}])
    assert "1 of 5 rows name a file that is missing; the first is line 6, a" in refusal(root)


@pytest.mark.parametrize("emotion", ["", "anger", "Angry", "unknown", "other:", "4"])
def test_an_unknown_label_is_named_with_those_that_are_known(tmp_path: Path, emotion: str) -> None:
    root = make_corpus(tmp_path / "mine")
    rows = rows_of(root)
    rows[2]["emotion"] = emotion
    write_index(root, rows)
    sentence = refusal(root)
    assert "1 of 4 rows have an unknown emotion; expected neutral, calm" in sentence
    assert "none (nobody acts) or other:NAME" in sentence
    assert sentence.endswith(f"line 4, b/0-neutral.wav: {emotion!r}")


def test_votes_for_an_unknown_label_are_refused(tmp_path: Path) -> None:
    root = make_corpus(tmp_path / "mine", more={"votes_anger": 3})
    assert "has votes for an unknown label, votes_anger" in refusal(root)


@pytest.mark.parametrize("path", ["../outside.wav", "a/../../outside.wav", "/etc/hostname", "link.wav", "a\0.wav"])
def test_a_path_that_leaves_the_folder_is_refused(tmp_path: Path, path: str) -> None:
    root = make_corpus(tmp_path / "mine")
    (tmp_path / "outside.wav").write_bytes((root / "a" / "1-angry.wav").read_bytes())
    (root / "link.wav").symlink_to(tmp_path / "outside.wav")
    write_index(root, [{"path": path, "speaker": "a", "emotion": "sad", "language": "en"}, *rows_of(root)])
    assert "1 of 5 rows have a path that is absolute or leaves the folder; the first is line 2" in refusal(root)


@pytest.mark.parametrize("path", ["a/0-neutral.wav", "a/./0-neutral.wav", "b/../a/0-neutral.wav"])
def test_a_recording_that_is_named_twice_is_refused(tmp_path: Path, path: str) -> None:
    root = make_corpus(tmp_path / "mine")
    write_index(root, [*rows_of(root), {"path": path, "speaker": "b", "emotion": "sad", "language": "en"}])
    assert "2 of 5 rows have a path that occurs twice; the first is line 2, a/0-neutral.wav" in refusal(root)


@pytest.mark.parametrize("column", ["path", "speaker"])
def test_a_row_without_path_or_speaker_is_refused(tmp_path: Path, column: str) -> None:
    root = make_corpus(tmp_path / "mine")
    rows = rows_of(root)
    rows[0][column] = " "
    write_index(root, rows)
    assert "1 of 4 rows name no path or no speaker; the first is line 2" in refusal(root)


@pytest.mark.parametrize(("column", "value"), [("age", "old"), ("age", "-3"), ("votes_sad", "nan"), ("fold", "inf")])
def test_what_is_no_number_is_refused(tmp_path: Path, column: str, value: str) -> None:
    root = make_corpus(tmp_path / "mine", more={column: value})
    assert f"line 2 has {value!r} as {column}; expected a number from 0, or nothing" in refusal(root)


def test_a_speaker_in_two_folds_is_refused(tmp_path: Path) -> None:
    root = make_corpus(tmp_path / "mine", more={"fold": 1})
    rows = rows_of(root)
    rows[3]["fold"] = "2"
    write_index(root, rows, (*COLUMNS, "fold"))
    assert "the speaker b is in two folds, 1 and 2" in refusal(root)
    rows[2]["fold"] = rows[3]["fold"] = ""
    write_index(root, rows, (*COLUMNS, "fold"))
    assert "1 of 2 speakers have no fold, the first is b" in refusal(root)


@pytest.mark.parametrize("content", [b"", b"path,speaker,emotion,language\n", b"\xff\xfe\x00p", b'path,"spea\nker'])
def test_an_index_that_is_no_table_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "index.csv").write_bytes(content)
    refusal(tmp_path)


def test_rows_that_are_too_short_or_too_long_are_no_crash(tmp_path: Path) -> None:
    root = make_corpus(tmp_path / "mine")
    with (root / "index.csv").open("a") as file:
        file.write("a/0-neutral.wav\n")
    assert "name no path or no speaker; the first is line 6" in refusal(root)
    write_index(root, [])
    with (root / "index.csv").open("a") as file:
        file.write("a/0-neutral.wav,a,sad,en,more,and more\n")
    assert len(open_corpus(root).recordings) == 1


def test_a_corpus_of_other_emotions_alone_is_refused(tmp_path: Path) -> None:
    root = make_corpus(tmp_path / "mine", emotions=("other:pride",))
    assert "names no recording with one of the labels, or none" in refusal(root)


def test_classes_that_no_corpus_has_are_named(tmp_path: Path) -> None:
    some = open_corpus(make_corpus(tmp_path / "some", emotions=LABELS[:5]))
    more = open_corpus(make_corpus(tmp_path / "more", emotions=LABELS[4:7]))
    rest = open_corpus(make_corpus(tmp_path / "rest", emotions=(LABELS[7], "none")))
    with pytest.raises(SerError, match=r"^some, more: no recording is surprised; add a corpus"):
        check_classes([some, more])
    check_classes([some, more, rest])


def test_ravdess_is_a_corpus_too_and_keeps_its_names(tmp_path: Path) -> None:
    root = make_ravdess(tmp_path / "ravdess")
    own = find_recordings(root)
    corpus = open_corpus(root)
    assert is_corpus(root)
    assert corpus == label_ravdess(own, root)
    assert [one.name for one in corpus.recordings] == [one.name for one in own.recordings] == list(corpus.identity)
    assert corpus.emotions.tolist() == [one.emotion for one in own.recordings]
    assert corpus.speakers[:2] == ("ravdess/01", "ravdess/02")
    assert [one.sex for one in corpus.recordings[:4]] == ["male", "male", "female", "female"]


KNOWN = {
    "aesdd": (603, 6, 0, 5),
    "crema-d": (7435, 91, 0, 6),
    "emodb": (454, 10, 81, 6),
    "indian-commands": (1205, 107, 0, 4),
    "nemo": (2076, 9, 0, 6),
    "ordinary": (1000, 250, 0, 0),
}


@pytest.mark.parametrize("name", KNOWN)
def test_the_real_corpora_are_read(corpora: Path, name: str) -> None:
    corpus = read_corpus(corpora / name, name)
    recordings, speakers, left_out, classes = KNOWN[name]
    assert len(corpus.recordings) == recordings
    assert len(corpus.speakers) == speakers
    assert sum(corpus.left_out.values()) == left_out
    assert corpus.expressible.sum() == classes


def test_the_listeners_of_crema_d_mostly_hear_neutral(corpora: Path) -> None:
    corpus = read_corpus(corpora / "crema-d", "crema-d")
    targets = [one.soft_target for one in corpus.recordings]
    heard = Counter(LABELS[int(one.argmax())] for one in targets if one is not None)
    assert heard.most_common(1)[0][0] == "neutral"
    assert all(abs(one.sum() - 1) < 1e-6 for one in targets if one is not None)
