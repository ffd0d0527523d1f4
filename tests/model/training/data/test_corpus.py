"""A folder of RAVDESS is complete, or its faults are reported."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser_model.errors import SerError
from ser_model.training.data.corpus import (
    ACTORS,
    SAME_SOUND,
    TEST_ACTORS,
    VALIDATION_ACTORS,
    Corpus,
    Recording,
    expected_names,
    find_recordings,
    load_corpus,
)

pytest.importorskip("torch", reason="the train extra is not installed")

FIRST = "03-01-01-01-01-01"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all 1440 names, of a few samples each."""
    root = tmp_path_factory.mktemp("whole")
    tone = root / "tone.wav"
    soundfile.write(tone, np.full(160, 0.1), 16000)
    content = tone.read_bytes()
    tone.unlink()
    for actor in ACTORS:
        folder = root / f"Actor_{actor:02d}"
        folder.mkdir()
        for name in expected_names(actor):
            (folder / f"{name}.wav").write_bytes(content)
    return root


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(whole, tmp_path / "ravdess"))


def refusal(root: Path) -> str:
    with pytest.raises(SerError) as refused:
        load_corpus(root)
    sentence = str(refused.value)
    assert "\n" not in sentence
    assert sentence.startswith(f"{root}: ")
    return sentence


def test_the_names_are_those_of_ravdess() -> None:
    names = [name for actor in ACTORS for name in expected_names(actor)]
    assert len(set(names)) == len(names) == 1440
    emotions = Counter(name.split("-")[2] for name in names)
    assert emotions == {"01": 96, **{f"{code:02d}": 192 for code in range(2, 9)}}
    assert not any(name.startswith("03-01-01-02") for name in names)


def test_a_complete_folder_has_no_faults(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = load_corpus(whole)
    assert len(corpus.recordings) == 1440
    assert (corpus.missing, corpus.absent, corpus.misnamed) == ((), (), ())
    assert str(whole) not in capsys.readouterr().out


def test_the_order_does_not_depend_on_the_folder(root: Path) -> None:
    before = [recording.name for recording in find_recordings(root).recordings]
    moved = root / "Actor_01" / f"{FIRST}-01.wav"
    content = moved.read_bytes()
    moved.unlink()
    moved.write_bytes(content)
    assert [recording.name for recording in find_recordings(root).recordings] == before == sorted(before, key=_place)


def _place(name: str) -> tuple[str, str]:
    return name[-2:], name


def test_a_missing_actor_breaks_folds_which_are_named(root: Path) -> None:
    shutil.rmtree(root / "Actor_03")
    sentence = refusal(root)
    assert "1380 of 1440 recordings are there, incomplete are the actors 03" in sentence
    assert "the five folds no longer hold" in sentence
    assert "fold 2 lacks test actors 03, fold 1 lacks validation actors 03" in sentence
    assert "fold 3" not in sentence
    assert sentence.endswith("--allow-missing goes on without")


def test_a_missing_file_is_named_and_the_folds_hold(root: Path) -> None:
    (root / "Actor_05" / f"{FIRST}-05.wav").unlink()
    sentence = refusal(root)
    assert f"1439 of 1440 recordings are there, incomplete are the actors 05 ({FIRST}-05)" in sentence
    assert "the five folds still hold" in sentence


def test_of_many_missing_files_the_first_are_named_and_all_counted(root: Path) -> None:
    shutil.rmtree(root / "Actor_24")
    for path in sorted((root / "Actor_05").iterdir())[:12]:
        path.unlink()
    sentence = refusal(root)
    assert "incomplete are the actors 05, 24, of whom 05 lack only some (" in sentence
    assert "and 7 more)" in sentence
    assert sentence.count("03-01-") == 5


@pytest.mark.parametrize(
    "name",
    [
        "Actor_02/happy.wav",
        "Actor_02/03-01-09-01-01-01-02.wav",
        "Actor_02/03-01-01-02-01-01-02.wav",
        "Actor_02/03-02-01-01-01-01-02.wav",
        "Actor_02/03-01-02-01-01-01-03.wav",
        "Actor_02/03-01-02-01-01-01-02.WAV",
        "Actor_02/03-01-02-01-01-01-02.mp3",
        "Actor_02/03-01-02-01-01-01-02.flac",
        "Actor_25/03-01-02-01-01-01-25.wav",
        "Actor_02/03-01-02-01-01-01-02 (1).wav",
    ],
)
def test_a_wrongly_named_recording_is_refused_by_its_name(root: Path, name: str) -> None:
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_bytes((root / "Actor_02" / f"{FIRST}-02.wav").read_bytes())
    sentence = refusal(root)
    assert "1 audio file(s) not named as RAVDESS names them" in sentence
    # If a name occurs twice, either file may be the one reported.
    assert name.rpartition(".")[0] in sentence
    assert "of 1440" not in sentence


def test_files_without_audio_are_ignored(root: Path) -> None:
    (root / "Actor_02" / "notes.txt").write_text("not a recording")
    (root / "Actor_02" / f"._{FIRST}-02.wav").write_bytes(b"left by macOS")
    (root / "readme.wav").write_bytes(b"not in an actor's folder")
    assert len(load_corpus(root).recordings) == 1440


def test_a_folder_with_wrong_names_only_is_reported(tmp_path: Path) -> None:
    (tmp_path / "Actor_01").mkdir()
    (tmp_path / "Actor_01" / "take 1.wav").write_bytes(b"RIFF")
    with pytest.raises(SerError, match=r"found no recording.*Actor_01/take 1\.wav"):
        find_recordings(tmp_path)


@pytest.mark.parametrize("damage", ["empty", "noise", "cut"])
def test_a_recording_that_cannot_be_read_is_named(root: Path, damage: str) -> None:
    path = root / "Actor_07" / f"{FIRST}-07.wav"
    content = path.read_bytes()
    path.write_bytes({"empty": b"", "noise": bytes(range(256)), "cut": content[:100]}[damage])
    if damage == "cut":
        samples = np.random.default_rng(0).normal(0, 0.1, 48000)
        path = path.with_suffix(".flac")
        soundfile.write(path, samples, 48000)
        path.write_bytes(path.read_bytes()[:30000])
        path.with_suffix(".wav").unlink()
    sentence = refusal(root)
    assert f"1 recording(s) can't be read: Actor_07/{path.name}" in sentence


def test_missing_recordings_are_allowed_on_request_and_reported(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "Actor_07" / f"{FIRST}-07.wav").write_bytes(b"")
    (root / "Actor_08" / "extra.wav").write_bytes(b"")
    shutil.rmtree(root / "Actor_09")
    corpus = load_corpus(root, allow_missing=True)
    assert len(corpus.recordings) == 1379
    assert corpus.missing == (7, 9)
    assert f"{FIRST}-07" not in {recording.name for recording in corpus.recordings}
    out = capsys.readouterr().out
    for words in ("1379 of 1440", "Actor_08/extra.wav", f"Actor_07/{FIRST}-07.wav", "no longer hold"):
        assert words in out


def test_a_folder_without_a_readable_recording_is_never_allowed(tmp_path: Path) -> None:
    (tmp_path / "Actor_01").mkdir()
    (tmp_path / "Actor_01" / f"{FIRST}-01.wav").write_bytes(b"")
    with pytest.raises(SerError, match="none of its recordings can be read"):
        load_corpus(tmp_path, allow_missing=True)


def pair(corpus: Corpus) -> tuple[Recording, Recording]:
    one, other = (recording for recording in corpus.recordings if recording.name in SAME_SOUND)
    return one, other


def test_the_two_recordings_with_the_same_sound_stay_together(whole: Path) -> None:
    corpus = find_recordings(whole)
    one, other = pair(corpus)
    assert one.actor == other.actor == 7
    assert one.emotion == other.emotion
    for held_out in (*TEST_ACTORS, *VALIDATION_ACTORS, *((actor,) for actor in ACTORS)):
        assert (one.actor in held_out) == (other.actor in held_out)


def test_leaving_out_one_sound_leaves_out_both_of_its_recordings(whole: Path) -> None:
    corpus = find_recordings(whole)
    sounds = Counter(recording.sound for recording in corpus.recordings)
    assert len(sounds) == 1439
    assert [sound for sound, count in sounds.items() if count > 1] == [SAME_SOUND[0]]
    for sound in (SAME_SOUND[0], f"{FIRST}-01"):
        left = {recording.name for recording in corpus.recordings if recording.sound != sound}
        assert left.isdisjoint(SAME_SOUND) or left.issuperset(SAME_SOUND)


def test_ravdess_has_that_one_pair_and_no_other(ravdess: Path) -> None:
    """FLAC stores the MD5 of the samples in its first block (RFC 9639, section 8.2)."""
    digests: dict[bytes, list[str]] = {}
    for recording in find_recordings(ravdess).recordings:
        with recording.path.open("rb") as file:
            start = file.read(42)
        if start[:4] != b"fLaC":
            pytest.skip("the recordings are no FLAC files")
        digests.setdefault(start[26:42], []).append(recording.name)
    assert [names for names in digests.values() if len(names) > 1] == [list(SAME_SOUND)]
