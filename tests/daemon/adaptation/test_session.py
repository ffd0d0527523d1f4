"""What was learnt about a voice: written seldom and whole, read with suspicion, forgotten on request."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from ser_daemon.adaptation.files import find_speaker, read_statistics, speaker_file, write_data
from ser_daemon.adaptation.session import (
    FILE_NAME,
    SAVE_SECONDS,
    AdaptationMemory,
    AdaptationSession,
    make_session,
)
from ser_daemon.config.loading import load_config
from ser_daemon.pipeline.inference import Inference, Recognition
from ser_daemon.pipeline.sample_clock import SampleClock
from ser_daemon.pipeline.speech_queue import SpeechQueue
from ser_model import Model
from ser_model.adaptation.adaptation import Adaptation, Statistics, model_version
from ser_model.errors import AdaptationError, SerError
from ser_model.network.metadata import ModelMetadata
from ser_model.types import SpeechEnded
from support.daemon import Daemon, Message, wait_for
from support.models import without_class_mean_logits
from support.speech import SYNTHETIC_SPEECH

STDIN = ("--mic", "stdin", "--rate", "16000")
LOGITS = np.array([1, 0, 0, 0, 0, 0, 0, -1], dtype=np.float32)


@pytest.fixture(scope="module")
def metadata() -> ModelMetadata:
    return Model.load().metadata


def some(metadata: ModelMetadata, seconds: float = 60.0) -> Statistics:
    return Statistics(seconds, np.array(metadata.mean), np.linspace(-0.4, 0.4, 8))


def learn(session: AdaptationSession) -> None:
    adaptation = session.adaptation
    assert adaptation is not None
    adaptation.learn(np.zeros(46), 50, LOGITS)


def test_it_is_written_seldom_and_at_the_end(tmp_path: Path, metadata: ModelMetadata) -> None:
    clock = [0.0]
    session = AdaptationSession(Adaptation(metadata), AdaptationMemory(tmp_path), now=lambda: clock[0])
    path = tmp_path / FILE_NAME
    session.store()
    assert not path.exists()
    written = []
    for moment in (1.0, SAVE_SECONDS - 1, SAVE_SECONDS, SAVE_SECONDS + 1, 2 * SAVE_SECONDS - 1, 2 * SAVE_SECONDS):
        clock[0] = moment
        learn(session)
        before = path.read_text() if path.exists() else None
        session.utterance_ended()
        written.append((path.read_text() if path.exists() else None) != before)
    assert written == [False, False, True, False, False, True]
    learn(session)
    session.store()
    assert read_statistics(path, metadata).seconds == pytest.approx(session.seconds, abs=1e-3)
    assert [file.name for file in tmp_path.iterdir()] == [FILE_NAME]
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_has_not_changed_is_not_written_again(tmp_path: Path, metadata: ModelMetadata) -> None:
    session = AdaptationSession(Adaptation(metadata, some(metadata)), AdaptationMemory(tmp_path))
    session.store()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 50_000, b" " * 100_000, b'{"format": 1}', b'{"format": NaN}'],
)
def test_a_damaged_file_is_ignored_with_a_warning_that_names_it(
    tmp_path: Path, metadata: ModelMetadata, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    assert AdaptationMemory(tmp_path).load(metadata) is None
    assert len(caplog.records) == 1
    assert str(tmp_path / FILE_NAME) in caplog.text


def test_a_pipe_in_its_place_does_not_hold_the_daemon_up(
    tmp_path: Path, metadata: ModelMetadata, caplog: pytest.LogCaptureFixture
) -> None:
    os.mkfifo(tmp_path / FILE_NAME)
    assert AdaptationMemory(tmp_path).load(metadata) is None
    assert "a named pipe, no file" in caplog.text


def test_one_of_another_model_is_ignored_and_both_are_named(
    tmp_path: Path, metadata: ModelMetadata, caplog: pytest.LogCaptureFixture
) -> None:
    write_data(tmp_path / FILE_NAME, some(metadata).to_data("reslstm-sa-h32 0123456789ab"))
    assert AdaptationMemory(tmp_path).load(metadata) is None
    assert "reslstm-sa-h32 0123456789ab" in caplog.text
    assert model_version(metadata) in caplog.text


def test_one_beyond_sane_bounds_is_ignored(
    tmp_path: Path, metadata: ModelMetadata, caplog: pytest.LogCaptureFixture
) -> None:
    data = some(metadata).to_data(model_version(metadata)) | {"features": [1e9] * 46}
    write_data(tmp_path / FILE_NAME, data)
    assert AdaptationMemory(tmp_path).load(metadata) is None
    assert "standard deviations" in caplog.text


def test_a_folder_that_cannot_be_written_is_said_once_and_stops_nobody(
    tmp_path: Path, metadata: ModelMetadata, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    session = AdaptationSession(Adaptation(metadata), AdaptationMemory(tmp_path / "file" / "state"))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            learn(session)
            session.store()
    assert len(caplog.records) == 1
    assert "will not survive a restart" in caplog.text


def test_forgetting_removes_the_file_too(tmp_path: Path, metadata: ModelMetadata) -> None:
    session = AdaptationSession(Adaptation(metadata), AdaptationMemory(tmp_path))
    learn(session)
    session.store()
    assert (session.name, (tmp_path / FILE_NAME).exists()) == ("running", True)
    session.forget()
    assert (session.name, session.seconds, list(tmp_path.iterdir())) == ("none", 0.0, [])
    session.store()
    assert list(tmp_path.iterdir()) == []


def configured(tmp_path: Path, metadata: ModelMetadata, **settings: str) -> AdaptationSession:
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state"), **settings}
    return make_session(load_config(environ=environ, default_files=[]), metadata, environ)


def make_profile(folder: Path, metadata: ModelMetadata, name: str = "anna", seconds: float = 45.0) -> None:
    path = folder / "ser-daemon" / "speakers" / f"{name}.json"
    write_data(path, some(metadata, seconds).to_data(model_version(metadata)))


def test_settings_choose_between_running_profile_and_nothing(
    tmp_path: Path, metadata: ModelMetadata, caplog: pytest.LogCaptureFixture
) -> None:
    state = tmp_path / "state" / "ser-daemon" / FILE_NAME
    assert configured(tmp_path, metadata).name == "none"
    write_data(state, some(metadata).to_data(model_version(metadata)))
    assert configured(tmp_path, metadata).name == "running"
    off = configured(tmp_path, metadata, SER_ADAPTATION_RUNNING="false")
    assert (off.name, off.adaptation) == ("none", None)
    assert configured(tmp_path, metadata, SER_AUDIO_DEVICE="file:speech.wav").adaptation is None
    make_profile(tmp_path, metadata)
    # Frozen: a file is judged as it was the last time.
    for settings in ({"SER_ADAPTATION_RUNNING": "false"}, {"SER_AUDIO_DEVICE": "file:speech.wav"}):
        profile = configured(tmp_path, metadata, SER_ADAPTATION_SPEAKER="anna", **settings)
        before = state.read_bytes()
        learn(profile)
        profile.store()
        assert (profile.name, profile.seconds) == ("profile", 45)
        assert state.read_bytes() == before
    assert caplog.records == []
    missing = configured(tmp_path, metadata, SER_ADAPTATION_SPEAKER="bert")
    assert missing.name == "running"
    assert "ser-calibrate teach 'bert'" in caplog.text


def test_learning_goes_on_from_a_profile_over_a_restart(
    tmp_path: Path, metadata: ModelMetadata, caplog: pytest.LogCaptureFixture
) -> None:
    state = tmp_path / "state" / "ser-daemon" / FILE_NAME
    # What was learnt without the profile is not the profile's speaker's.
    write_data(state, some(metadata, 300).to_data(model_version(metadata)))
    make_profile(tmp_path, metadata)
    first = configured(tmp_path, metadata, SER_ADAPTATION_SPEAKER="anna")
    assert (first.name, first.seconds) == ("profile", 45)
    learn(first)
    first.store()
    learnt = first.seconds
    assert 45 < learnt < 50
    again = configured(tmp_path, metadata, SER_ADAPTATION_SPEAKER="anna")
    assert (again.name, again.seconds) == ("profile", pytest.approx(learnt, abs=1e-3))
    assert first.adaptation is not None
    assert again.adaptation is not None
    np.testing.assert_allclose(again.adaptation.offset.logits, first.adaptation.offset.logits, atol=1e-5)
    # Without learning it is the profile alone, and what was learnt waits.
    frozen = configured(tmp_path, metadata, SER_ADAPTATION_SPEAKER="anna", SER_ADAPTATION_RUNNING="false")
    assert (frozen.name, frozen.seconds) == ("profile", 45)
    assert configured(tmp_path, metadata, SER_ADAPTATION_SPEAKER="anna").seconds > 45
    # Nothing of it is wrong, so nothing is warned of.
    assert caplog.records == []
    again.forget()
    assert (again.name, again.seconds, state.exists()) == ("profile", 45, False)
    assert configured(tmp_path, metadata, SER_ADAPTATION_SPEAKER="anna").seconds == 45


def test_another_profile_or_one_made_anew_begins_anew(tmp_path: Path, metadata: ModelMetadata) -> None:
    make_profile(tmp_path, metadata)
    # The same numbers by another name are another speaker's.
    make_profile(tmp_path, metadata, "bert")
    session = configured(tmp_path, metadata, SER_ADAPTATION_SPEAKER="anna")
    learn(session)
    session.store()
    assert configured(tmp_path, metadata, SER_ADAPTATION_SPEAKER="anna").seconds > 45
    assert configured(tmp_path, metadata, SER_ADAPTATION_SPEAKER="bert").seconds == 45
    assert configured(tmp_path, metadata).name == "none"
    make_profile(tmp_path, metadata, seconds=60)
    assert configured(tmp_path, metadata, SER_ADAPTATION_SPEAKER="anna").seconds == 60


def test_a_model_that_cannot_be_adapted_is_told_once_where_adaptation_is_wanted(
    tmp_path: Path, metadata: ModelMetadata, caplog: pytest.LogCaptureFixture
) -> None:
    rigid = dataclasses.replace(metadata, typical_logits=None)
    assert configured(tmp_path, rigid, SER_ADAPTATION_RUNNING="false").adaptation is None
    assert configured(tmp_path, rigid, SER_AUDIO_DEVICE="file:speech.wav").adaptation is None
    assert caplog.records == []
    for settings in ({}, {"SER_ADAPTATION_SPEAKER": "anna"}):
        caplog.clear()
        session = configured(tmp_path, rigid, **settings)
        assert (session.name, session.adaptation) == ("none", None)
        assert len(caplog.records) == 1
        assert "Adaptation is off: The model reslstm-sa-h64 can't be adapted" in caplog.text


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x" * 65, "a\nb"])
def test_a_name_that_is_no_file_is_refused(name: str, tmp_path: Path, metadata: ModelMetadata) -> None:
    with pytest.raises(SerError, match="can't name a speaker"):
        speaker_file(name)
    with pytest.raises(SerError):
        find_speaker(name, metadata, [tmp_path])


def test_calls_run_between_utterances_and_what_was_learned_is_stored_at_the_end() -> None:
    order: list[str] = []

    class Silent:
        def push(self, event: object) -> list[Any]:
            order.append("analyzed")
            return []

    class Logged(AdaptationSession):
        def utterance_ended(self) -> None:
            order.append("ended")

        def store(self) -> None:
            order.append("stored")

    queue = SpeechQueue()
    queue.put(SpeechEnded(1, 1, 0, "silence"), arrival=0.0)
    queue.submit(lambda: order.append("called"))
    queue.put(SpeechEnded(2, 2, 0, "silence"), arrival=0.0)
    queue.close()
    Inference(queue, Recognition(Silent(), Logged(None, None)), SampleClock(), lambda event: None).run()
    assert order == ["analyzed", "ended", "called", "analyzed", "ended", "stored"]


def finals(messages: list[Message]) -> list[str]:
    return [one["data"]["adaptation"] for one in messages if one["type"] == "emotion" and one["data"]["final"]]


def test_a_daemon_learns_keeps_and_forgets(tmp_path: Path, metadata: ModelMetadata) -> None:
    speech, _ = soundfile.read(SYNTHETIC_SPEECH, dtype="int16")
    path = tmp_path / "state" / "ser-daemon" / FILE_NAME
    with Daemon(*STDIN, feed=True, folder=tmp_path) as daemon:
        client = daemon.subscribe()
        daemon.write(speech)
        daemon.end_of_input()
        said = client.rest()
        assert daemon.wait() == 0
    assert finals(said)[0] == "none"
    assert set(finals(said)[1:]) == {"running"}
    by_utterance: dict[str, set[str]] = {}
    for one in said:
        if one["type"] == "emotion":
            by_utterance.setdefault(one["data"]["utterance_id"], set()).add(one["data"]["adaptation"])
    assert all(len(names) == 1 for names in by_utterance.values())
    assert json.loads(path.read_text())["seconds"] == pytest.approx(read_statistics(path, metadata).seconds)
    with Daemon(*STDIN, feed=True, folder=tmp_path) as daemon:
        daemon.subscribe()
        control = daemon.controller()
        assert control.request("status")["data"]["adaptation"] == "running"
        assert "learning begins anew" in control.request("reset-adaptation")["data"]["text"]
        assert not path.exists()
        assert control.request("status")["data"]["adaptation"] == "none"
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    assert not path.exists()


def test_a_daemon_with_a_model_that_cannot_be_adapted_says_so_once_and_judges_by_it_alone(tmp_path: Path) -> None:
    speech, _ = soundfile.read(SYNTHETIC_SPEECH, dtype="int16")
    with Daemon(*STDIN, "--model", str(without_class_mean_logits(tmp_path)), feed=True, folder=tmp_path) as daemon:
        client = daemon.subscribe()
        assert "nothing is being learnt" in daemon.controller().request("reset-adaptation")["data"]["text"]
        daemon.write(speech)
        daemon.end_of_input()
        assert set(finals(client.rest())) == {"none"}
        assert daemon.wait() == 0
        assert daemon.stderr.count("can't be adapted") == 1
    assert not (tmp_path / "state" / "ser-daemon" / FILE_NAME).exists()


def test_a_state_directory_that_is_a_file_stops_no_daemon(tmp_path: Path) -> None:
    speech, _ = soundfile.read(SYNTHETIC_SPEECH, dtype="int16")
    (tmp_path / "state").touch()
    with Daemon(*STDIN, feed=True, folder=tmp_path) as daemon:
        client = daemon.subscribe()
        daemon.write(speech)
        daemon.end_of_input()
        assert "running" in finals(client.rest())
        assert daemon.wait() == 0
        assert daemon.stderr.count("will not survive a restart") == 1
        assert "Traceback" not in daemon.stderr


def test_a_reload_switches_adaptation_off_and_on_again(tmp_path: Path) -> None:
    speech, _ = soundfile.read(SYNTHETIC_SPEECH, dtype="int16")
    config = tmp_path / "config" / "ser-daemon" / "config.yaml"
    config.parent.mkdir(parents=True)
    with Daemon(*STDIN, feed=True, folder=tmp_path) as daemon:
        client = daemon.subscribe()
        control = daemon.controller()

        def adapted() -> Message:
            data: Message = control.request("status")["data"]
            return data

        daemon.write(speech[: 16_000 * 8])
        client.until("voice-stopped")
        wait_for(lambda: adapted()["adaptation"] == "running")
        learnt = adapted()["adaptation_seconds"]
        for running, name in (("false", "none"), ("true", "running")):
            config.write_text(f"adaptation: {{running: {running}}}\n")
            assert "adaptation.running" in control.request("reload")["data"]["text"]
            assert adapted()["adaptation"] == name
        assert adapted()["adaptation_seconds"] >= learnt
        daemon.end_of_input()
        assert daemon.wait() == 0


def test_a_speakers_profile_made_anew_is_used_after_a_reload(tmp_path: Path, metadata: ModelMetadata) -> None:
    path = tmp_path / "config" / "ser-daemon" / "speakers" / "anna.json"
    write_data(path, some(metadata, 45).to_data("reslstm-sa-h32 0123456789ab"))
    environ = {"SER_ADAPTATION_SPEAKER": "anna"}
    with Daemon(*STDIN, feed=True, folder=tmp_path, environment=environ) as daemon:
        control = daemon.controller()
        daemon.write(np.zeros(16_000, np.int16))
        ignored = f"WARNING Speaker's profile ignored: {path}: belongs to the model 'reslstm-sa-h32 0123456789ab', "
        for count in (1, 2):
            assert daemon.stderr.count(f"{ignored}but the model is '{model_version(metadata)}'") == count
            control.request("reload")
        for seconds in (45, 60):
            write_data(path, some(metadata, seconds).to_data(model_version(metadata)))
            control.request("reload")
            data = control.request("status")["data"]
            assert (data["adaptation"], data["adaptation_seconds"]) == ("profile", seconds)
        daemon.end_of_input()
        assert daemon.wait() == 0
        assert daemon.stderr.count("ignored") == 3


def test_a_daemon_goes_on_learning_from_a_profile(tmp_path: Path, metadata: ModelMetadata) -> None:
    speech, _ = soundfile.read(SYNTHETIC_SPEECH, dtype="int16")
    state = tmp_path / "state" / "ser-daemon" / FILE_NAME
    make_profile(tmp_path / "config", metadata)
    environ = {"SER_ADAPTATION_SPEAKER": "anna", "SER_DECISION_UNLIKE_SPEECH": "false"}
    with Daemon(*STDIN, feed=True, folder=tmp_path, environment=environ) as daemon:
        client = daemon.subscribe()
        daemon.write(speech)
        daemon.end_of_input()
        assert set(finals(client.rest())) == {"profile"}
        assert daemon.wait() == 0
    learnt = read_statistics(state, metadata).seconds
    assert learnt > 46
    with Daemon(*STDIN, feed=True, folder=tmp_path, environment=environ) as daemon:
        daemon.subscribe()
        control = daemon.controller()
        for seconds in (learnt, 45):
            data = control.request("status")["data"]
            assert (data["adaptation"], data["adaptation_seconds"]) == ("profile", pytest.approx(seconds, abs=0.1))
            assert "the speaker's profile stays" in control.request("reset-adaptation")["data"]["text"]
        assert not state.exists()
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0


def test_unreadable_statistics_are_one_sentence(tmp_path: Path, metadata: ModelMetadata) -> None:
    (tmp_path / "x.json").mkdir()
    with pytest.raises(AdaptationError, match=r"x\.json: .*a folder, no file"):
        read_statistics(tmp_path / "x.json", metadata)
    with pytest.raises(FileNotFoundError):
        read_statistics(tmp_path / "y.json", metadata)
