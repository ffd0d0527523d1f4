"""Frames of any corpus are those of the gate, are kept, and change with the recordings."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from ser_model.audio.files import read_audio
from ser_model.errors import SerError
from ser_model.features.features import compute_features
from ser_model.training.data import corpus_frames
from ser_model.training.data.corpus import find_recordings
from ser_model.training.data.corpus_folder import open_corpus
from ser_model.training.data.corpus_frames import build_frames
from ser_model.training.data.dataset import build
from ser_model.training.data.segmentation import segment_clean
from support.corpora import make_corpus
from support.run_folder import make_corpus as make_ravdess
from support.speech import sentence


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpora") / "mine", sound=sentence())


def test_frames_are_those_of_the_gated_recordings(root: Path, tmp_path: Path) -> None:
    corpus = open_corpus(root)
    built = build_frames(corpus, cache=tmp_path, workers=1)
    for one, versions, utterances, voiced in zip(
        corpus.recordings, built.frames, built.utterances, built.voiced, strict=True
    ):
        expected = compute_features(segment_clean(read_audio(one.path)).samples)
        assert utterances == len(versions) == 1
        # They are kept in half precision, which has eleven bits.
        np.testing.assert_allclose(versions[0], expected, rtol=2**-10, atol=1e-3)
        assert len(voiced) == len(expected)


def test_variants_follow_the_clean_version_and_are_the_same_again(root: Path, tmp_path: Path) -> None:
    corpus = open_corpus(root)
    one, other = (build_frames(corpus, cache=tmp_path / name, variants=2, workers=1) for name in ("1", "2"))
    assert [len(versions) for versions in one.frames] == [3] * 4
    for versions, again in zip(one.frames, other.frames, strict=True):
        assert all(np.array_equal(*pair) for pair in zip(versions, again, strict=True))
    assert not np.array_equal(one.frames[0][1][:20], one.frames[0][2][:20])


def test_frames_are_kept_until_a_recording_changes(root: Path, tmp_path: Path) -> None:
    own = make_corpus(tmp_path / "own", ("a",), sound=sentence())
    build_frames(open_corpus(own), cache=tmp_path / "cache", workers=1)
    build_frames(open_corpus(own), cache=tmp_path / "cache", workers=1)
    assert len(list((tmp_path / "cache").iterdir())) == 1
    (own / "a" / "0-neutral.wav").write_bytes((root / "b" / "1-angry.wav").read_bytes())
    build_frames(open_corpus(own), cache=tmp_path / "cache", workers=1)
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_recordings_that_cannot_be_decoded_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    own = make_corpus(tmp_path / "own", ("a", "b"), sound=sentence())
    for name in ("a/1-angry.wav", "b/0-neutral.wav"):
        (own / name).write_bytes(b"no audio at all")
    with pytest.raises(SerError, match=r"own: 2 of 4 recordings can't be read, the first because .*1-angry\.wav"):
        build_frames(open_corpus(own), cache=tmp_path / "cache", workers=1)
    assert not (tmp_path / "cache").exists()


def test_an_interrupted_computation_goes_on_from_the_last_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speakers, emotions = ("a", "b", "c"), ("sad", "angry")
    own = make_corpus(tmp_path / "own", speakers, emotions, sound=sentence())
    monkeypatch.setattr(corpus_frames, "_PART", 2)
    content = (own / "c" / "1-angry.wav").read_bytes()
    damage(own / "c" / "1-angry.wav", b"\0" * len(content))
    with pytest.raises(SerError, match="1 of 6 recordings can't be read"):
        build_frames(open_corpus(own), cache=tmp_path / "cache", variants=1, workers=1)
    assert sorted(path.name[-9:-4] for path in (tmp_path / "cache").iterdir()) == ["part0", "part1"]

    damage(own / "c" / "1-angry.wav", content)
    for name in ("a/0-sad.wav", "b/0-sad.wav"):
        damage(own / name, b"\0" * (own / name).stat().st_size)
    # What is damaged meanwhile is not read again.
    resumed = build_frames(open_corpus(own), cache=tmp_path / "cache", variants=1, workers=1)
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert resumed.utterances.tolist() == [1] * 6
    whole = build_frames(
        open_corpus(make_corpus(tmp_path / "whole", speakers, emotions, sound=sentence())),
        cache=tmp_path / "cache",
        variants=1,
        workers=1,
    )
    for versions, again in zip(whole.frames, resumed.frames, strict=True):
        assert [len(one) for one in versions] == [len(one) for one in again]
        for one, other in zip(versions, again, strict=True):
            np.testing.assert_allclose(one, other, rtol=2**-10, atol=1e-3)


def damage(path: Path, content: bytes) -> None:
    """Replace the content of a file, and keep its time of change."""
    status = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_ravdess_shares_the_clean_frames_of_its_own_reader(tmp_path: Path) -> None:
    ravdess = make_ravdess(tmp_path / "ravdess", (5,))
    cache = tmp_path / "cache"
    expected = build(find_recordings(ravdess), cache=cache, workers=2)
    before = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    built = build_frames(open_corpus(ravdess), cache=cache)
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == before
    for versions, own in zip(built.frames, expected.frames, strict=True):
        assert all(np.array_equal(*pair) for pair in zip(versions, own, strict=True))


def test_other_voices_are_of_the_same_speaker(tmp_path: Path) -> None:
    """A variant holds nothing of anybody who may be held out."""
    corpus = open_corpus(make_corpus(tmp_path / "own", ("a", "b"), ("sad", "angry", "happy", "none", "calm")))
    for one, voices in zip(corpus.recordings, corpus_frames.other_voices(corpus.recordings), strict=True):
        assert len(voices) == 3
        assert one not in voices
        assert {voice.speaker for voice in voices} == {one.speaker}


@pytest.mark.parametrize("name", ["aesdd", "crema-d", "emodb", "indian-commands", "nemo", "ordinary"])
def test_recordings_of_the_real_corpora_are_decoded(corpora: Path, name: str) -> None:
    recordings = open_corpus(corpora / name).recordings
    for one in recordings[:: len(recordings) // 3]:
        samples = read_audio(one.path)
        assert len(samples) > 8_000
        assert np.abs(samples).max() > 100
