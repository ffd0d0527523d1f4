"""Corrections in a running daemon: by ser-ctl and by the Python client, over a restart, and forgotten again."""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from ser_daemon.adaptation.corrections import FILE_NAME
from ser_daemon.adaptation.files import write_data
from ser_daemon.cli.demo import bundled_recording
from ser_daemon.client import AsyncClient, Client, RequestFailed
from ser_model import Model
from ser_model.adaptation.adaptation import Statistics, model_version
from ser_model.adaptation.taught_head import TaughtExample
from ser_model.labels import LABELS
from support.daemon import Daemon, Message, Subscriber

STDIN = ("--mic", "stdin", "--rate", "16000")
ON = {
    "SER_ADAPTATION_CORRECTIONS": "true",
    "SER_ADAPTATION_RUNNING": "false",
    "SER_DECISION_UNKNOWN_BELOW": "0",
    "SER_DECISION_UNLIKE_SPEECH": "false",
}
RATE = 16_000
UTTERANCES = 12
"""In the recording."""


@pytest.fixture(scope="module")
def recording() -> npt.NDArray[np.int16]:
    """Twelve utterances of two people, and two seconds of silence."""
    samples, _ = soundfile.read(bundled_recording(), dtype="int16")
    return np.concatenate((samples, np.zeros(2 * RATE, np.int16)))


def say(daemon: Daemon, client: Subscriber, recording: npt.NDArray[np.int16]) -> list[Message]:
    """Play the recording; return the final of each utterance."""
    daemon.write(recording)
    finals = [client.until(lambda event: event["data"].get("final") is True)["data"] for _ in range(UTTERANCES)]
    client.until("voice-stopped")
    return finals


def right(finals: list[Message], wanted: list[str]) -> int:
    """How many utterances have the label that they were corrected to."""
    return sum(final["label"] == label for final, label in zip(finals, wanted, strict=True))


def status(daemon: Daemon) -> Message:
    data: Message = daemon.controller().request("status")["data"]
    return data


def taught_file(daemon: Daemon) -> Path:
    return daemon.folder / "state" / "ser-daemon" / FILE_NAME


def test_answers_follow_corrections_over_a_restart_until_they_are_forgotten(
    recording: npt.NDArray[np.int16], command: Callable[..., list[str]], tmp_path: Path
) -> None:
    def ctl(daemon: Daemon, *arguments: str) -> str:
        made = command("ctl", "--socket", daemon.socket, *arguments)
        return subprocess.run(made, check=True, capture_output=True, text=True, timeout=30).stdout.strip()

    with Daemon(*STDIN, feed=True, folder=tmp_path, environment=ON) as daemon:
        client = daemon.subscribe()
        before = say(daemon, client, recording)
        assert {final["adaptation"] for final in before} == {"none"}
        assert not any("taught" in final for final in before)
        assert not taught_file(daemon).exists()
        # Labels compete with those that were taught, so each label that was given is taught, to other utterances.
        wanted = [before[(at + 3) % UTTERANCES]["label"] for at in range(UTTERANCES)]
        by_client = Client(daemon.socket)
        for _ in range(5):
            finals = say(daemon, client, recording)
            for at, final in enumerate(finals[:-1]):
                by_client.label(final["utterance_id"], wanted[at])
            text = ctl(daemon, "label", "last", wanted[11])
            assert text.startswith(f"{finals[-1]['utterance_id']} counts as {wanted[11]}; ")
        after = say(daemon, client, recording)
        assert {(final["adaptation"], final["taught"]) for final in after} == {("taught", 60)}
        assert right(after, wanted) >= right(before, wanted) + 4
        assert "corrections  60 (" in ctl(daemon, "taught")
        assert len(json.loads(ctl(daemon, "taught", "--json"))["examples"]) == 60
        assert "taught by 60 examples (0 of the profile, 60 corrections)" in ctl(daemon, "status")
        assert taught_file(daemon).stat().st_mode & 0o777 == 0o600
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    with Daemon(*STDIN, feed=True, folder=tmp_path, environment=ON) as daemon:
        client = daemon.subscribe()
        again = say(daemon, client, recording)
        assert right(again, wanted) >= right(before, wanted) + 4
        assert {final["taught"] for final in again} == {60}
        # Utterances of this run have the names of utterances of the earlier run, and do not replace them.
        assert Client(daemon.socket).label("u-1", "sad")["taught"] == 61
        assert "the corrections too; nothing is being learnt" in ctl(daemon, "reset-adaptation")
        assert not taught_file(daemon).exists()
        assert {final["adaptation"] for final in say(daemon, client, recording)} == {"none"}
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    with Daemon(*STDIN, feed=True, folder=tmp_path, environment=ON) as daemon:
        client = daemon.subscribe()
        assert status(daemon)["taught"] == {"examples": 0, "profile": 0, "corrections": 0}
        assert [final["label"] for final in say(daemon, client, recording)] == [final["label"] for final in before]


def test_a_right_answer_alone_waits_for_another_label_and_a_second_correction_replaces_the_first(
    recording: npt.NDArray[np.int16],
) -> None:
    with Daemon(*STDIN, feed=True, environment=ON) as daemon:
        client = daemon.subscribe()
        scores = say(daemon, client, recording)[2]["scores"]
        control = Client(daemon.socket)
        answer, other = sorted(scores, key=scores.get, reverse=True)[:2]
        # A right answer that is confirmed says nothing about other labels; a wrong one that is corrected does.
        first = control.label("u-3", answer)
        assert (first["taught"], status(daemon)["adaptation"]) == (0, "none")
        assert "takes effect when another label has an example too" in first["text"]
        assert control.label("u-3", other)["taught"] == 1
        assert status(daemon)["taught"]["corrections"] == 1
        assert asyncio.run(AsyncClient(daemon.socket).label("u-4", "angry"))["taught"] == 2
        assert status(daemon)["adaptation"] == "taught"
        for name, text in (
            ("u-999", "There is no utterance u-999: the last one that has ended is u-12, and the last 200 are kept."),
            ("u-13", "There is no utterance u-13"),
        ):
            with pytest.raises(RequestFailed, match=text):
                control.label(name, "sad")


def test_too_short_an_utterance_is_refused(recording: npt.NDArray[np.int16]) -> None:
    with Daemon(*STDIN, feed=True, environment=ON | {"SER_DECISION_MIN_VOICED_MS": "5000"}) as daemon:
        say(daemon, daemon.subscribe(), recording)
        with pytest.raises(RequestFailed, match="u-12, the last utterance, was too short; such"):
            Client(daemon.socket).label("last", "sad")


@pytest.mark.parametrize(
    ("arguments", "settings", "problem"),
    [
        (STDIN, {}, "Corrections are off: set adaptation.corrections to true, and reload"),
        (("--mic", f"file:{bundled_recording()}"), ON, "Corrections are not taken from a recording"),
    ],
)
def test_where_corrections_are_not_taken_one_sentence_says_why(
    arguments: tuple[str, ...], settings: dict[str, str], problem: str
) -> None:
    with Daemon(*arguments, feed=True, environment=settings) as daemon:
        client = daemon.subscribe()
        client.request("status")
        for name in ("last", "u-1"):
            with pytest.raises(RequestFailed, match=problem):
                Client(daemon.socket).label(name, "sad")
        assert problem in Client(daemon.socket).request("taught")["refusal"]
        assert not taught_file(daemon).exists()


def test_a_correction_that_cannot_be_written_is_in_force_until_the_next_start(
    recording: npt.NDArray[np.int16], tmp_path: Path
) -> None:
    (tmp_path / "state").touch()
    with Daemon(*STDIN, feed=True, folder=tmp_path, environment=ON) as daemon:
        client = daemon.subscribe()
        say(daemon, client, recording)
        for name, label in (("u-1", "sad"), ("u-2", "angry")):
            with pytest.raises(RequestFailed, match=r"In force until the next start only: .*taught\.json can't be"):
                Client(daemon.socket).label(name, label)
        assert {final["taught"] for final in say(daemon, client, recording)} == {2}
        # Also over a reload, which finds no file.
        Client(daemon.socket).request("reload")
        assert status(daemon)["taught"]["corrections"] == 2
        assert "Traceback" not in daemon.stderr


def test_a_full_disk_keeps_the_file_as_it_was_and_the_daemon_running(
    recording: npt.NDArray[np.int16], tmp_path: Path
) -> None:
    with Daemon(*STDIN, feed=True, folder=tmp_path, environment=ON) as daemon:
        say(daemon, daemon.subscribe(), recording)
        control = Client(daemon.socket)
        control.label("u-1", "sad")
        control.label("u-2", "angry")
        before = taught_file(daemon).read_bytes()
        # As on a full disk, a write of more bytes than these fails.
        resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (len(before), resource.RLIM_INFINITY))
        with pytest.raises(RequestFailed, match=r"In force until the next start only: .*taught\.json can't be written"):
            control.label("u-3", "sad")
        assert taught_file(daemon).read_bytes() == before
        assert status(daemon)["taught"]["examples"] == 3
        assert not [one for one in taught_file(daemon).parent.iterdir() if one.name.startswith(".")]
        resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        # The next correction that can be written also writes the one before.
        assert control.label("u-4", "angry")["taught"] == 4
        assert len(json.loads(taught_file(daemon).read_text())["models"].popitem()[1]) == 4


def test_a_recording_is_judged_by_a_profile_that_was_taught(tmp_path: Path) -> None:
    metadata = Model.load().metadata
    examples = [
        TaughtExample(label, np.eye(len(LABELS))[at], np.full(metadata.hidden, 0.1 * at)).to_data()
        for at, label in enumerate(LABELS[:3])
    ]
    statistics = Statistics(45.0, np.array(metadata.mean), np.zeros(len(LABELS)))
    path = tmp_path / "config" / "ser-daemon" / "speakers" / "anna.json"
    write_data(path, statistics.to_data(model_version(metadata)) | {"speaker": "anna", "taught": examples})
    arguments = ("--mic", f"file:{bundled_recording()}", "--fast")
    with Daemon(*arguments, folder=tmp_path, environment={"SER_ADAPTATION_SPEAKER": "anna"}) as daemon:
        client = daemon.subscribe()
        emotions = [one["data"] for one in client.rest() if one["type"] == "emotion"]
        assert daemon.wait() == 0
    # The subscriber may have come after the first of them.
    assert emotions
    assert {(one["adaptation"], one["taught"]) for one in emotions} == {("taught", 3)}


def test_a_reload_switches_corrections_off_and_on_again(recording: npt.NDArray[np.int16], tmp_path: Path) -> None:
    config = tmp_path / "config" / "ser-daemon" / "config.yaml"
    config.parent.mkdir(parents=True)

    def reload(daemon: Daemon, **values: bool) -> dict[str, Any]:
        config.write_text(json.dumps({"adaptation": {"corrections": True, **values}}))
        return Client(daemon.socket).request("reload")

    config.write_text("adaptation: {corrections: true}\n")
    with Daemon(*STDIN, feed=True, folder=tmp_path) as daemon:
        say(daemon, daemon.subscribe(), recording)
        control = Client(daemon.socket)
        for at in range(1, 5):
            control.label(f"u-{at}", ["sad", "angry"][at % 2])
        # Another setting keeps them, and the utterances' names.
        reload(daemon, running=False)
        assert status(daemon)["taught"]["examples"] == 4
        assert control.label("u-1", "happy")["taught"] == 4
        reload(daemon, corrections=False)
        assert status(daemon)["taught"] == {"examples": 0, "profile": 0, "corrections": 0}
        assert taught_file(daemon).exists()
        assert "adaptation.corrections" in reload(daemon)["text"]
        assert status(daemon)["taught"]["corrections"] == 4
        # Utterances are not kept while corrections are off.
        with pytest.raises(RequestFailed, match="u-1 can't be corrected: no utterance is kept yet"):
            control.label("u-1", "sad")
