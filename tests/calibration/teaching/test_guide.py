"""The guided session: prompts, keys, silence, clipping and Ctrl-C, with a scripted and with a virtual microphone."""

from __future__ import annotations

import json
import os
import pty
import random
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from itertools import chain, pairwise, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser_calibration.teaching.guide import MOST_REPEATS, Guide, Spoken
from ser_calibration.teaching.keyboard import ENTER, Keyboard
from ser_calibration.teaching.prompts import SENTENCES, Prompt, make_prompts, parse_labels
from ser_calibration.teaching.utterances import UtteranceFinder
from ser_daemon.adaptation.files import read_profile
from ser_model import Model
from ser_model.config import DecisionConfig, GateConfig
from ser_model.errors import SerError
from ser_model.labels import LABELS
from ser_model.types import SAMPLE_RATE, Samples
from support.demo import write_demo_recordings
from support.pulse import PulseAudio, virtual_microphone
from support.speech import sentence

WAIT = 60.0
BLOCK = 1600

PROMPTS = [Prompt("happy", SENTENCES[0]), Prompt("sad", SENTENCES[1])]


def noise(seconds: float) -> Samples:
    return np.round(np.random.default_rng(1).standard_normal(round(seconds * SAMPLE_RATE)) * 5).astype(np.int16)


def said(gain: float = 1.0) -> Samples:
    """A sentence with a second of weak noise before and after it."""
    loud = np.clip(sentence() * gain, -32768, 32767).astype(np.int16)
    return np.concatenate((noise(1), loud, noise(1.5)))


def blocks(*pieces: Samples) -> Iterator[Samples]:
    """The pieces in blocks, and weak noise without end."""
    whole = np.concatenate(pieces)
    return chain(np.array_split(whole, len(whole) // BLOCK), repeat(noise(BLOCK / SAMPLE_RATE)))


class Keys(Keyboard):
    """Keys that are pressed one after the other, each when it is waited for."""

    def __init__(self, keys: str) -> None:
        self.keys = keys

    def forget(self) -> None:
        self.keys = self.keys.lstrip(" ")

    def pressed(self, seconds: float = 0.0) -> str:
        if self.keys.startswith(" "):
            return ""
        key, self.keys = self.keys[:1], self.keys[1:]
        return key


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.load()


def guide(model: Model, samples: Iterator[Samples], keys: Keyboard | None = None) -> tuple[list[Spoken], list[str]]:
    """What was taken, and the lines that stayed."""
    lines: list[str] = []
    finder = UtteranceFinder(model, GateConfig(), DecisionConfig())
    report = lambda line, replaceable: None if replaceable else lines.append(line)  # noqa: E731
    return Guide(finder, samples, report, keys).run(PROMPTS), lines


def test_every_utterance_is_taken_as_it_comes_without_a_person(model: Model) -> None:
    spoken, lines = guide(model, blocks(said(), said()))
    assert [one.label for one in spoken] == ["happy", "sad"]
    assert lines[0] == " 1 of 2  HAPPY"
    assert lines[1].strip() == f'"{SENTENCES[0]}"'
    assert re.fullmatch(r" +heard: (unsure, perhaps )?[a-z]+ \(0\.\d\d\)(, not happy)?", lines[2])


def test_a_sentence_is_said_again_and_the_first_is_not_kept(model: Model) -> None:
    # A space lets the guide listen until it waits for the next key.
    spoken, _ = guide(model, blocks(said(), said(0.5), said()), Keys(f"{ENTER} r {ENTER} {ENTER}"))
    assert [one.label for one in spoken] == ["happy", "sad"]
    first, _ = guide(model, blocks(said(), said()))
    assert spoken[0].utterance.result.start > first[0].utterance.result.start


def test_q_ends_and_keeps_what_was_said(model: Model) -> None:
    spoken, lines = guide(model, blocks(said(), said()), Keys(f"{ENTER} q"))
    assert [one.label for one in spoken] == ["happy"]
    assert lines[-1] == "Ended early."


def test_q_ends_while_it_listens(model: Model) -> None:
    spoken, _ = guide(model, blocks(noise(5)), Keys(f"{ENTER}q"))
    assert spoken == []


def test_what_is_said_while_a_key_is_waited_for_is_no_answer(model: Model) -> None:
    class Late(Keys):
        blocks = 0

        def pressed(self, seconds: float = 0.0) -> str:
            self.blocks += 1
            # The first sentence ends before block 40.
            return "" if self.blocks < 45 else super().pressed()

    spoken, _ = guide(model, blocks(said(), said()), Late(f"{ENTER} q"))
    assert [one.label for one in spoken] == ["happy"]
    assert spoken[0].utterance.result.start > len(said())


def test_silence_is_asked_again_and_ends_with_what_to_check(model: Model) -> None:
    with pytest.raises(
        SerError, match=r"^Heard no speech 3 times: is this the right microphone.* Nothing was written\."
    ):
        guide(model, blocks(noise(1)))


def test_after_silence_a_person_may_go_on(model: Model) -> None:
    samples = blocks(noise(10 * MOST_REPEATS + 0.5), said(), said())
    spoken, lines = guide(model, samples, Keys(f"{ENTER} {ENTER} {ENTER} {ENTER}"))
    assert [one.label for one in spoken] == ["happy", "sad"]
    assert sum("Heard nothing. Please say it again." in line for line in lines) == MOST_REPEATS
    assert any(line.startswith("Heard no speech 3 times") for line in lines)


def test_a_word_is_too_short(model: Model) -> None:
    word = np.concatenate((noise(1), sentence()[: round(0.45 * SAMPLE_RATE)], noise(1.5)))
    spoken, lines = guide(model, blocks(word, said(), said()))
    assert len(spoken) == 2
    assert "That was too short. Please say it again." in lines[2]


def test_clipped_speech_is_said_to_be_too_loud(model: Model) -> None:
    spoken, lines = guide(model, blocks(said(100.0), said()))
    assert len(spoken) == 2
    assert "Too loud" in lines[3]
    assert sum("Too loud" in line for line in lines) == 1


@pytest.mark.parametrize("labels", [("neutral", "angry"), LABELS])
def test_every_label_comes_once_a_round_in_mixed_order(labels: tuple[str, ...]) -> None:
    prompts = make_prompts(labels, 4, random.Random(3))
    rounds = [
        [one.label for one in prompts[start : start + len(labels)]] for start in range(0, len(prompts), len(labels))
    ]
    assert [sorted(one) for one in rounds] == [sorted(labels)] * 4
    assert all(before.label != after.label for before, after in pairwise(prompts))
    assert len({one.sentence for one in prompts[: len(SENTENCES)]}) == min(len(prompts), len(SENTENCES))


def test_the_sentences_fit_on_a_line_and_differ() -> None:
    assert len(set(SENTENCES)) == len(SENTENCES) >= 24
    assert max(map(len, SENTENCES)) < 65


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("happy", ("neutral", "happy")),
        ("angry, Happy neutral", ("neutral", "happy", "angry")),
        (",".join(LABELS), LABELS),
    ],
)
def test_neutral_is_always_among_the_labels(text: str, labels: tuple[str, ...]) -> None:
    assert parse_labels(text) == labels


class Session:
    """`ser-calibrate teach` in a terminal of its own."""

    def __init__(self, pulse: PulseAudio, *arguments: str) -> None:
        self.ours, theirs = pty.openpty()
        termios.tcsetwinsize(self.ours, (24, 80))
        self.before = termios.tcgetattr(self.ours)
        self.shown = ""
        command = [sys.executable, "-m", "ser_calibration.cli.main", "teach", "anna", *arguments]
        environ = {**pulse.environment, "TERM": "xterm"}
        # In a session of its own the terminal is the one that Ctrl-C comes from.
        code = "import os, fcntl, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(*COMMAND)"
        code = code.replace("*COMMAND", f"{command[0]!r}, {command!r}")
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], env=environ, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)

    def until(self, words: str) -> str:
        """Read until the words appear, or the program ends; return what was shown since the last time."""
        seen, deadline = "", time.monotonic() + WAIT
        while words not in seen:
            assert time.monotonic() < deadline, f"no {words!r} in {seen}"
            if select.select([self.ours], [], [], 0.1)[0]:
                try:
                    seen += os.read(self.ours, 4096).decode(errors="replace")
                except OSError:
                    break
            elif self.process.poll() is not None:
                break
        self.shown += seen
        return seen

    def press(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    def close(self) -> None:
        self.process.kill()
        self.process.wait(10)
        os.close(self.ours)


@pytest.mark.slow
def test_a_guided_session_in_a_terminal_makes_a_profile(tmp_path: Path) -> None:
    said_by_label: dict[str, list[Path]] = {}
    for path, label in write_demo_recordings(tmp_path):
        said_by_label.setdefault(label, []).append(path)
    output = tmp_path / "new" / "anna.json"
    with virtual_microphone() as pulse:
        session = Session(pulse, "--rounds", "2", "--output", str(output))
        try:
            session.until("angry): ")
            session.press("joyful\n")
            assert "The label 'joyful' is unknown" in session.until("List (")
            session.press("happy angry\n")
            session.until("Enter: begin")
            session.press("\n")
            for number in range(1, 7):
                shown = session.until("speak now")
                found = re.search(rf"{number:2} of 6  ([A-Z]+)", shown)
                assert found, shown
                pulse.play(said_by_label[found[1].lower()].pop()).wait(WAIT)
                session.until("Enter: next")
                session.press("\n")
            # Typed in advance, for where the profile is not worth using.
            session.until("after teaching.")
            session.press("y\n")
            session.until("adaptation.speaker")
            assert session.process.wait(10) == 0, session.shown
            assert termios.tcgetattr(session.ours)[:4] == session.before[:4]
        finally:
            session.close()
        written = {path.name for path in pulse.folder.rglob("*") if path.suffix in (".wav", ".raw", ".flac")}
    assert written == set()
    profile = read_profile(output, Model.load().metadata)
    assert sorted(one.label for one in profile.taught) == ["angry"] * 2 + ["happy"] * 2 + ["neutral"] * 2
    assert "Of your 6 sentences " in session.shown
    assert "Recordings are not kept" in session.shown


@pytest.mark.slow
def test_ctrl_c_in_the_middle_writes_nothing_and_restores_the_terminal(tmp_path: Path) -> None:
    output = tmp_path / "anna.json"
    with virtual_microphone() as pulse:
        session = Session(pulse, "--labels", "happy", "--output", str(output))
        try:
            session.until("Enter: begin")
            local = 3
            assert not termios.tcgetattr(session.ours)[local] & termios.ICANON
            session.press("\n")
            session.until("speak now")
            session.press("\x03")
            assert "ser-calibrate: interrupted, nothing was written" in session.until("nothing was written")
            assert session.process.wait(10) == 130
            assert termios.tcgetattr(session.ours)[:4] == session.before[:4]
        finally:
            session.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_script_teaches_through_a_microphone_without_a_key(tmp_path: Path) -> None:
    said_by_label: dict[str, list[Path]] = {}
    for path, label in write_demo_recordings(tmp_path):
        said_by_label.setdefault(label, []).append(path)
    output = tmp_path / "new" / "anna.json"
    with virtual_microphone() as pulse:
        command = [sys.executable, "-m", "ser_calibration.cli.main", "teach", "anna", "--yes", "--labels", "angry"]
        process = subprocess.Popen(
            [*command, "--rounds", "2", "--output", str(output)],
            env=pulse.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        players: list[subprocess.Popen[bytes]] = []
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if found := re.match(r" ?\d+ of 4  ([A-Z]+)$", line):
                    players.append(pulse.play(said_by_label[found[1].lower()].pop()))
            out, _ = process.communicate(timeout=WAIT)
        finally:
            for one in (*players, process):
                one.kill()
                one.wait(10)
    assert process.returncode == 0
    assert "Of your 4 sentences " in out
    data: dict[str, Any] = json.loads(output.read_text())
    assert sorted(one["label"] for one in data["taught"]) == ["angry", "angry", "neutral", "neutral"]
