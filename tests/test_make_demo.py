"""The script that makes the recording of `ser-daemon --demo`: votes decide, and the result is the same each time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser_model import read_audio
from support.corpora import COLUMNS, write_index
from support.speech import sentence

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "daemon/ser_daemon/data"
EMOTIONS = ("neutral", "happy", "sad", "angry", "fearful", "disgust")
VOTES = ("votes_angry", "votes_neutral")


def make(corpus: Path, output: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks/make_demo.py"), "--corpus", str(corpus), "--output", str(output)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def write_corpus(root: Path, recordings: Mapping[str, Mapping[str, object]], votes: tuple[str, ...] = VOTES) -> Path:
    """Write recordings with names as in CREMA-D, and an index with the given values of each."""
    rows = []
    for name, values in recordings.items():
        path = root / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, sentence(), 16_000)
        rows.append({"path": path.name, "speaker": name[:4], "language": "en", **values})
    write_index(root, rows, (*COLUMNS, *votes))
    return root


def every_emotion(*speakers: str) -> dict[str, dict[str, object]]:
    """One recording of each speaker and emotion, with a vote."""
    names = {f"{speaker}_IEO_{emotion[:3].upper()}_XX": emotion for speaker in speakers for emotion in EMOTIONS}
    return {name: {"emotion": emotion, "votes_angry": 1, "votes_neutral": 1} for name, emotion in names.items()}


def played(table: str) -> list[str]:
    return [line.split()[2] for line in table.splitlines()[1:13]]


def test_the_bundled_recording_and_its_list_are_what_the_script_makes(corpora: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one.flac", tmp_path / "two.flac"
    done = make(corpora / "crema-d", one)
    assert (done.returncode, done.stderr) == (0, "")
    assert make(corpora / "crema-d", two).returncode == 0
    assert one.read_bytes() == two.read_bytes()
    # Another version of the decoder may round otherwise.
    made, bundled = (read_audio(path).astype(int) for path in (one, DATA / "demo.flac"))
    assert len(made) == len(bundled)
    assert np.abs(made - bundled).max() <= 16
    table = "\n".join(done.stdout.splitlines()[:13])
    assert table in (DATA / "LICENSE-demo.txt").read_text()


def test_the_largest_share_of_votes_decides_then_a_new_sentence_then_the_name(tmp_path: Path) -> None:
    corpus = every_emotion("1064", "1006")
    corpus["1064_TIE_ANG_XX"] = {"emotion": "angry", "votes_angry": 3, "votes_neutral": 1}
    corpus["1064_WSI_ANG_XX"] = {"emotion": "angry", "votes_angry": 5, "votes_neutral": 5}
    corpus["1006_DFA_NEU_XX"] = {"emotion": "neutral", "votes_angry": 2, "votes_neutral": 2}
    corpus["1006_TIE_NEU_XX"] = {"emotion": "neutral", "votes_angry": 2, "votes_neutral": 2}
    corpus["1006_AAA_NEU_XX"] = {"emotion": "neutral", "votes_angry": 3, "votes_neutral": 2}
    done = make(write_corpus(tmp_path / "corpus", corpus), tmp_path / "demo.flac")
    assert (done.returncode, done.stderr) == (0, "")
    names = played(done.stdout)
    assert names[:2] == ["1064_IEO_NEU_XX", "1006_DFA_NEU_XX"]
    assert names[6:8] == ["1064_TIE_ANG_XX", "1006_IEO_ANG_XX"]
    assert [name[:4] for name in names] == ["1064", "1006"] * 6


@pytest.mark.parametrize(
    ("speakers", "votes", "words"),
    [
        ((), VOTES, "no such folder"),
        (("1064",), VOTES, "names no recording of speaker 1006 with the emotion neutral"),
        (("1064", "1006"), (), "has no votes"),
    ],
)
def test_an_unsuitable_corpus_is_refused_in_one_sentence(
    tmp_path: Path, speakers: tuple[str, ...], votes: tuple[str, ...], words: str
) -> None:
    corpus, output = tmp_path / "corpus", tmp_path / "demo.flac"
    if speakers:
        write_corpus(corpus, every_emotion(*speakers), votes)
    done = make(corpus, output)
    assert done.returncode == 2
    assert done.stderr.startswith("make_demo: ")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not output.exists()
