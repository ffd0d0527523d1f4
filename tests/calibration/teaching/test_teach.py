"""`ser-calibrate teach --from`: a profile with examples from recordings, or one sentence with the reason."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from ser_calibration.cli.main import main
from ser_calibration.teaching import folder as folders
from ser_daemon.adaptation.files import read_profile
from ser_daemon.adaptation.session import make_session
from ser_daemon.config.loading import load_config
from ser_model import Model, Recognizer, read_audio
from ser_model.adaptation.taught_head import TaughtExample, fit_head
from ser_model.labels import LABELS
from ser_model.types import SAMPLE_RATE, EmotionResult
from support.demo import DEMO_LABELS, write_demo_recordings
from support.models import without_class_mean_logits


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.load()


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, str]]:
    return write_demo_recordings(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory, recordings: list[tuple[Path, str]]) -> Path:
    """A folder with one folder a label."""
    root = tmp_path_factory.mktemp("voice")
    for path, label in recordings:
        (root / label).mkdir(exist_ok=True)
        shutil.copy(path, root / label)
    return root


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def profile_of(home: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((home / "config/ser-daemon/speakers/anna.json").read_text())
    return data


def estimates(path: Path, model: Model) -> TaughtExample:
    """The longest utterance of a recording, by the recognizer alone."""
    recognizer = Recognizer(model)
    results = recognizer.push(read_audio(path)) + recognizer.finish()
    finals = [one for one in results if isinstance(one, EmotionResult) and one.final and one.estimate is not None]
    best = max(finals, key=lambda one: one.voiced)
    assert best.estimate is not None
    return TaughtExample(
        path.parent.name, best.estimate.logits.astype(np.float64), best.estimate.embedding.astype(np.float64)
    )


def test_the_daemon_uses_the_profile(home: Path, voice: Path, model: Model, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["teach", "anna", "--yes", "--from", str(voice)]) == 0
    assert "adaptation.speaker: anna" in capsys.readouterr().out
    path = home / "config/ser-daemon/speakers/anna.json"
    assert path.stat().st_mode & 0o777 == 0o600
    environ = {
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_STATE_HOME": str(home / "state"),
        "SER_ADAPTATION_SPEAKER": "anna",
    }
    session = make_session(load_config(environ=environ, default_files=[]), model.metadata, environ)
    assert session.name == "taught"
    assert session.adaptation is not None
    assert session.adaptation.offset.taught == 12


def test_examples_are_what_the_recognizer_makes_of_the_recordings(home: Path, voice: Path, model: Model) -> None:
    assert main(["teach", "anna", "--yes", "--from", str(voice)]) == 0
    expected = [estimates(path, model).to_data() for path in sorted(voice.glob("*/*.wav"))]
    assert profile_of(home)["taught"] == expected
    assert set(profile_of(home)["taught"][0]) == {"label", "logits", "embedding"}


def test_the_statistics_are_those_of_speaker_from_the_same_recordings(
    home: Path, voice: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ser_calibration.speaker.enrolment.MIN_SECONDS", 5.0)
    assert main(["teach", "anna", "--yes", "--from", str(voice)]) == 0
    taught = profile_of(home)
    files = [str(path) for path in sorted(voice.glob("*/*.wav"))]
    assert main(["speaker", "berta", "--from", *files, "--output", str(home / "berta.json")]) == 0
    learned = json.loads((home / "berta.json").read_text())
    assert taught["model"] == learned["model"]
    assert taught["seconds"] == pytest.approx(learned["seconds"])
    for name in ("features", "logits"):
        np.testing.assert_allclose(taught[name], learned[name], atol=1e-5)


def test_the_figure_counts_each_recording_as_heads_that_have_not_seen_it_judge(
    home: Path, voice: Path, model: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["teach", "anna", "--yes", "--from", str(voice)])
    shown = capsys.readouterr().out
    pairs = {label: [estimates(path, model) for path in sorted((voice / label).iterdir())] for label in DEMO_LABELS}
    before, after = dict.fromkeys(DEMO_LABELS, 0), dict.fromkeys(DEMO_LABELS, 0)
    sure = right = 0
    for kept in (0, 1):
        # Of two examples a label, one teaches and the other is judged.
        metadata = model.metadata
        taught = [pair[kept] for pair in pairs.values()]
        head = fit_head(taught, metadata.temperatures().long, whitening=metadata.whitening)
        assert head is not None
        for label, pair in pairs.items():
            judged = pair[1 - kept]
            before[label] += LABELS[int(judged.logits.argmax())] == label
            taught_logits = head.apply(judged.logits, judged.embedding)
            after[label] += LABELS[int(taught_logits.argmax())] == label
            powers = np.exp(taught_logits / metadata.temperatures().long)
            if powers.max() / powers.sum() >= metadata.unknown_below:
                sure += 1
                right += LABELS[int(taught_logits.argmax())] == label
    total = f"Of your 12 sentences {sum(before.values())} were right before, {sum(after.values())} after teaching."
    assert total in shown
    assert f" after ({right} right)." in shown
    assert f", {sure} after (" in shown
    rows = {line.split()[0]: line.split()[1:] for line in shown.splitlines() if line.startswith(DEMO_LABELS)}
    assert rows == {label: [str(before[label]), str(after[label]), "2"] for label in DEMO_LABELS}


def test_an_index_says_which_recording_has_which_label(
    home: Path, recordings: list[tuple[Path, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    root = recordings[0][0].parent
    rows = [f"{path.name},{label},x" for path, label in recordings[:4]]
    rows += [f"{recordings[4][0].name},other:boredom,x", f"{recordings[5][0].name},none,x"]
    (root / "index.csv").write_text("\n".join(["path,emotion,speaker", *rows]))
    try:
        assert main(["teach", "anna", "--yes", "--from", str(root)]) == 0
    finally:
        (root / "index.csv").unlink()
    assert [one["label"] for one in profile_of(home)["taught"]] == ["neutral"] * 2 + ["happy"] * 2


def test_labels_choose_among_the_recordings(home: Path, voice: Path) -> None:
    assert main(["teach", "anna", "--yes", "--labels", "angry", "--from", str(voice)]) == 0
    assert {one["label"] for one in profile_of(home)["taught"]} == {"neutral", "angry"}


def test_add_keeps_examples_and_statistics_and_takes_a_recording_once(
    home: Path, voice: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["teach", "anna", "--yes", "--labels", "angry", "--from", str(voice)])
    first = profile_of(home)
    assert main(["teach", "anna", "--yes", "--add", "--labels", "happy", "--from", str(voice)]) == 0
    second = profile_of(home)
    assert second["taught"][:4] == first["taught"]
    assert [one["label"] for one in second["taught"][4:]] == ["happy"] * 2
    assert second["seconds"] > first["seconds"]
    assert "2 examples are copies of others, and are left out." in capsys.readouterr().err
    main(["teach", "anna", "--yes", "--add", "--labels", "happy", "--from", str(voice)])
    assert profile_of(home)["seconds"] == second["seconds"]


def test_forget_removes_a_label_and_nothing_else(home: Path, voice: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["teach", "anna", "--yes", "--from", str(voice)])
    before = profile_of(home)
    assert main(["teach", "anna", "--forget", "sad"]) == 0
    after = profile_of(home)
    assert after["taught"] == [one for one in before["taught"] if one["label"] != "sad"]
    assert after["logits"] == before["logits"]
    assert "Forgotten: 2 examples of sad; 10 are left." in capsys.readouterr().out
    assert main(["teach", "anna", "--forget", "sad"]) == 2
    assert "has no example of sad" in capsys.readouterr().err


def test_speaker_keeps_what_was_taught(home: Path, voice: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ser_calibration.speaker.enrolment.MIN_SECONDS", 2.0)
    main(["teach", "anna", "--yes", "--from", str(voice)])
    before = profile_of(home)
    files = [str(path) for path in sorted((voice / "neutral").iterdir())]
    assert main(["speaker", "anna", "--from", *files]) == 0
    after = profile_of(home)
    assert after["taught"] == before["taught"]
    assert after["seconds"] != before["seconds"]


def test_a_profile_that_is_not_worth_using_is_not_written_unasked(
    home: Path, voice: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A head that changes nothing is never worth using.
    monkeypatch.setattr("ser_calibration.teaching.assessment.fit_head", lambda *given, **others: None)
    assert main(["teach", "anna", "--from", str(voice)]) == 2
    captured = capsys.readouterr()
    assert "By these sentences it is not worth using: no more are right than before." in captured.out
    assert captured.err.endswith("not worth using; --yes writes it all the same.\n")
    assert not (home / "config").exists()
    assert main(["teach", "anna", "--yes", "--from", str(voice)]) == 0
    assert (home / "config").exists()


@pytest.fixture
def odd(tmp_path: Path, recordings: list[tuple[Path, str]]) -> Path:
    """Folders that can't be used, by name."""
    root = tmp_path / "odd"
    neutral, other = recordings[0][0], recordings[1][0]

    def put(source: Path, *places: str) -> None:
        for place in places:
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, root / place)

    put(neutral, "single/happy/a.wav", "twice/happy/a.wav", "twice/sad/b.wav", "unknown/joyful/a.wav")
    put(other, "single/happy/b.wav", "twice/happy/c.wav", "twice/sad/d.wav")
    samples = read_audio(neutral)
    for number, label in enumerate(("happy", "happy", "sad", "sad")):
        (root / "alike" / label).mkdir(parents=True, exist_ok=True)
        quieter = np.round(samples * (1 - 0.05 * number)).astype(np.int16)
        soundfile.write(root / "alike" / label / f"{number}.wav", quieter, SAMPLE_RATE)
    (root / "silent/happy").mkdir(parents=True)
    soundfile.write(root / "silent/happy/a.wav", np.zeros(SAMPLE_RATE, np.int16), SAMPLE_RATE)
    (root / "empty").mkdir()
    (root / "text/happy").mkdir(parents=True)
    (root / "text/happy/a.wav").write_text("no audio")
    put(neutral, *(f"{name}/a.wav" for name in ("label", "people", "outside", "columns", "binary")))
    (root / "label/index.csv").write_text("path,emotion\na.wav,joyful\n")
    (root / "people/index.csv").write_text("path,emotion,speaker\na.wav,happy,x\na.wav,sad,y\n")
    (root / "outside/index.csv").write_text("path,emotion\n../label/a.wav,happy\n")
    (root / "columns/index.csv").write_text("file,emotion\na.wav,happy\n")
    (root / "binary/index.csv").write_bytes(b"path,emotion\n\xff\xfe\n")
    return root


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere", "found no such folder"),
        ("empty", "holds no recording with a label"),
        ("single", "expected 2 different ones of at least two labels, found 2 of happy"),
        ("twice", "The same recording is an example of happy and of sad"),
        ("alike", "All 4 examples sound alike"),
        ("silent", "found none"),
        ("text", "is not a WAV or FLAC file"),
        ("unknown", "joyful: is named after no label; expected neutral, calm"),
        ("label", "line 2 has the label 'joyful'; expected neutral, calm"),
        ("people", "names 2 speakers, but a profile is of one voice"),
        ("outside", "line 2 names ../label/a.wav, which is not in the folder"),
        ("columns", "lacks the column path"),
        ("binary", "is no table of comma-separated values in UTF-8"),
    ],
)
def test_recordings_that_teach_nothing_get_one_sentence_and_write_nothing(
    name: str, words: str, odd: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["teach", "anna", "--yes", "--from", str(odd / name)]) == 2
    error = capsys.readouterr().err.splitlines()
    assert error[-1].startswith("ser-calibrate: ")
    assert words in error[-1]
    assert not (home / "config").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["anna", "--labels", "neutral", "--yes"], "One label alone teaches nothing"),
        (["anna", "--labels", "happy,joyful", "--yes"], "The label 'joyful' is unknown"),
        (["anna", "--forget", "joyful"], "The label 'joyful' is unknown"),
        (["anna", "--forget", "sad"], "there is no such profile yet"),
        (["anna", "--forget", "sad", "--add"], "--forget goes alone"),
        (["anna", "--add", "--from", "{voice}"], "there is no such profile yet"),
        (["../anna", "--from", "{voice}"], "can't name a speaker"),
        (["anna", "--from", "{voice}", "--model", "nowhere"], "nowhere"),
        (["anna", "--from", "{voice}", "--output", "/dev/null/x.json"], "cannot write this profile"),
        (["anna", "--yes", "--device", "file:{voice}/x.wav"], "no microphone"),
    ],
)
def test_bad_input_gets_one_sentence_and_writes_nothing(
    arguments: list[str], words: str, home: Path, voice: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["teach", *(text.format(voice=voice) for text in arguments)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ser-calibrate: ")
    assert error.count("\n") == 1
    assert words in error
    assert not (home / "config").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("no JSON", "is damaged, it holds no JSON"),
        ("[1, 2]", "holds no adaptation"),
        ("other model", "the voice has to be taught again, as no recordings are kept"),
        ("damaged example", "logits of an example: expected 8 numbers"),
    ],
)
def test_a_profile_that_cannot_be_used_is_not_added_to(
    content: str, words: str, home: Path, voice: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = home / "p.json"
    main(["teach", "anna", "--yes", "--from", str(voice), "--output", str(path)])
    data = json.loads(path.read_text())
    if content == "other model":
        content = json.dumps(data | {"model": "reslstm-sa-h64 0123456789ab"})
    elif content == "damaged example":
        data["taught"][0]["logits"].pop()
        content = json.dumps(data)
    path.write_text(content)
    for more in (["--yes", "--add", "--from", str(voice)], ["--forget", "sad"]):
        capsys.readouterr()
        assert main(["teach", "anna", "--output", str(path), *more]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"ser-calibrate: {path}: ")
        assert error.count("\n") == 1
        assert words in error
        assert path.read_text() == content


def test_a_full_disk_leaves_the_older_profile(
    home: Path, voice: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["teach", "anna", "--yes", "--from", str(voice)])
    before = profile_of(home)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert main(["teach", "anna", "--yes", "--labels", "sad", "--from", str(voice)]) == 2
    assert capsys.readouterr().err.endswith("No space left on device; choose another with --output\n")
    assert profile_of(home) == before
    assert [path.name for path in (home / "config/ser-daemon/speakers").iterdir()] == ["anna.json"]


def test_more_recordings_than_a_profile_holds_are_refused(
    home: Path, voice: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "MOST_EXAMPLES", 11)
    assert main(["teach", "anna", "--yes", "--from", str(voice)]) == 2
    assert "holds 12 recordings; a profile takes up to 11" in capsys.readouterr().err


def test_a_model_that_cannot_be_adapted_cannot_be_taught(
    home: Path, voice: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(without_class_mean_logits(home))
    assert main(["teach", "anna", "--yes", "--from", str(voice), "--model", model]) == 2
    assert "can't be adapted" in capsys.readouterr().err


def test_without_a_terminal_it_says_what_to_use(home: Path) -> None:
    command = [sys.executable, "-m", "ser_calibration.cli.main", "teach", "anna"]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert "Guiding needs a terminal: use --yes" in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_profile_can_be_read_with_its_examples(home: Path, voice: Path, model: Model) -> None:
    path = home / "p.json"
    assert main(["teach", "anna", "--yes", "--from", str(voice), "--output", str(path)]) == 0
    assert path.stat().st_mode & 0o777 == 0o644
    assert len(read_profile(path, model.metadata).taught) == 12
