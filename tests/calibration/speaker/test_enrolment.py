"""`ser-calibrate speaker`: a profile from ordinary speech that the daemon uses, or one sentence with the reason."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser_calibration.cli.main import main
from ser_daemon.adaptation.session import make_session
from ser_daemon.config.loading import load_config
from ser_model import Model
from ser_model.labels import LABELS
from ser_model.network.metadata import ModelMetadata
from ser_model.types import SAMPLE_RATE
from support.models import without_class_mean_logits
from support.speech import synthetic_speech


@pytest.fixture(scope="module")
def metadata() -> ModelMetadata:
    return Model.load().metadata


@pytest.fixture(scope="module")
def minute(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Four recordings with well over thirty seconds of synthetic speech in all."""
    speech = synthetic_speech()
    folder = tmp_path_factory.mktemp("speech")
    paths = [folder / f"{number}.wav" for number in range(4)]
    for path in paths:
        soundfile.write(path, speech, SAMPLE_RATE)
    return [str(path) for path in paths]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def test_the_daemon_uses_the_profile(
    home: Path, minute: list[str], metadata: ModelMetadata, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["speaker", "anna", "--from", *minute]) == 0
    path = home / "ser-daemon" / "speakers" / "anna.json"
    out = capsys.readouterr().out
    assert str(path) in out
    assert "adaptation.speaker: anna" in out
    environ = {"XDG_CONFIG_HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "SER_ADAPTATION_SPEAKER": "anna"}
    session = make_session(load_config(environ=environ, default_files=[]), metadata, environ)
    assert session.name == "profile"
    assert session.seconds == pytest.approx(json.loads(path.read_text())["seconds"])
    assert session.adaptation is not None
    assert np.abs(session.adaptation.offset.logits).max() > 0


def test_a_profile_holds_numbers_and_no_label(home: Path, minute: list[str]) -> None:
    output = home / "out.json"
    assert main(["speaker", "anna", "--from", *minute, "--output", str(output)]) == 0
    data = json.loads(output.read_text())
    assert set(data) == {"format", "model", "seconds", "features", "logits", "speaker", "made"}
    assert not any(label in output.read_text() for label in LABELS)
    assert [path.name for path in home.iterdir()] == ["out.json"]


def test_a_second_profile_replaces_the_first(home: Path, minute: list[str]) -> None:
    output = home / "out.json"
    output.write_text("old")
    assert main(["speaker", "anna", "--from", *minute, "--output", str(output)]) == 0
    assert json.loads(output.read_text())["speaker"] == "anna"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["../anna", "--from", "{first}"], "can't name a speaker"),
        (["anna", "--from", "{first}"], "but 30 s are needed"),
        (["anna", "--from", "nowhere.wav"], "nowhere.wav"),
        (["anna", "--from", "{first}", "--model", "nowhere"], "nowhere"),
        (["anna", "--from", "{all}", "--output", "/dev/null/x.json"], "cannot write this profile"),
        (["anna", "--device", "file:{first}"], "no microphone"),
    ],
)
def test_bad_input_gets_one_sentence_and_writes_nothing(
    arguments: list[str], words: str, home: Path, minute: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    given = [part for text in arguments for part in (minute if text == "{all}" else [text.format(first=minute[0])])]
    assert main(["speaker", *given]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ser-calibrate: ")
    assert error.count("\n") == 1
    assert words in error
    assert list(home.iterdir()) == []


def test_a_model_that_cannot_be_adapted_needs_no_profile(
    home: Path, minute: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["speaker", "anna", "--from", *minute, "--model", str(without_class_mean_logits(home))]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ser-calibrate: The model reslstm-sa-h64 can't be adapted")
    assert error.count("\n") == 1
    assert not (home / "ser-daemon").exists()


def test_silence_is_no_voice(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = home / "silence.wav"
    soundfile.write(path, np.zeros(60 * SAMPLE_RATE, np.int16), SAMPLE_RATE)
    assert main(["speaker", "anna", "--from", str(path)]) == 2
    assert "Heard 0 s of speech" in capsys.readouterr().err
