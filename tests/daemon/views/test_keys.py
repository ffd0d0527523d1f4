"""Keys of the live view: `l` and the key of a label, in real terminals."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile

from ser_daemon.cli.demo import bundled_recording
from ser_daemon.views.keys import HINT, LabelKeys, describe_keys, label_keys
from ser_daemon.wire.events import Emotion, Hello
from ser_daemon.wire.protocol import CaptureState
from ser_model.errors import SerError
from ser_model.labels import LABELS
from support.pulse import PulseAudio, virtual_microphone
from support.speech import SYNTHETIC_SPEECH
from support.terminal import Terminal

PROMPT = "[n]eutral [c]alm [h]appy [s]ad [a]ngry [f]earful [d]isgust s[u]rprised"


def hello(labels: Any = LABELS) -> Hello:
    return Hello(
        server="s",
        model="m",
        labels=labels,
        state=CaptureState.LISTENING,
        speaking=False,
        muted=False,
    )


class Session:
    """Keys that are shown and sent to lists."""

    def __init__(self) -> None:
        self.shown: list[str | None] = []
        self.sent: list[tuple[str, str]] = []
        self.refusal = ""
        self.keys = LabelKeys(self.shown.append, self.send)

    async def send(self, utterance_id: str, label: str) -> dict[str, object]:
        self.sent.append((utterance_id, label))
        if self.refusal:
            raise SerError(self.refusal)
        return {"text": f"{utterance_id} counts as {label}."}

    async def press(self, keys: str) -> None:
        for key in keys:
            self.keys.pressed(key)
            await asyncio.sleep(0)
            await asyncio.sleep(0)


def test_each_label_has_a_key_of_its_own() -> None:
    assert describe_keys(label_keys(LABELS)) == PROMPT
    assert list(label_keys(["ab", "ba", "ab"])) == ["a", "b"]
    assert label_keys([3, None, "", "x"]) == {"x": "x"}


async def test_l_and_the_key_of_a_label_correct_the_last_utterance(emotion: Callable[..., Emotion]) -> None:
    session = Session()
    session.keys.event(hello())
    await session.press("hl")
    assert session.shown == ["There is nothing to correct yet: nobody has spoken."]
    session.keys.event(emotion())
    session.keys.event(emotion(utterance_id="u-3", final=True))
    await session.press("l")
    assert session.shown[-1] == f"u-3 {PROMPT}"
    # Another utterance that ends meanwhile is not the one that was meant.
    session.keys.event(emotion(utterance_id="u-4", final=True))
    await session.press("u")
    assert session.sent == [("u-3", "surprised")]
    assert session.shown[-1] == "u-3 counts as surprised."
    await session.press("lx")
    assert (session.shown[-1], len(session.sent)) == (None, 1)
    session.refusal = "Corrections are off."
    await session.press("la")
    assert (session.sent[-1], session.shown[-1]) == (("u-4", "angry"), "Corrections are off.")


@pytest.mark.parametrize("ending", ["\x03", signal.SIGTERM])
async def test_ser_watch_corrects_by_key_and_restores_the_terminal(
    wire: Any, command: Callable[..., list[str]], emotion: Callable[..., Emotion], ending: str | signal.Signals
) -> None:
    with Terminal(command("watch", "--socket", wire.path)) as terminal:
        await asyncio.to_thread(terminal.until, HINT)
        wire.publisher.publish(emotion(final=True))
        await asyncio.to_thread(terminal.until, "angry 0.58")
        assert not terminal.modes[3] & (termios.ICANON | termios.ECHO)
        assert terminal.modes[3] & termios.ISIG
        terminal.press("l")
        await asyncio.to_thread(terminal.until, f"u-17 {PROMPT}")
        terminal.press("h")
        await asyncio.to_thread(terminal.until, "u-17 counts as happy.")
        assert wire.control.calls == [("label", "u-17", "happy")]
        if isinstance(ending, str):
            terminal.press(ending)
        else:
            terminal.process.send_signal(ending)
        assert await asyncio.to_thread(terminal.wait) == (130 if isinstance(ending, str) else 143)
        assert terminal.modes == terminal.modes_before
        assert "\x1b[?1049l" in terminal.text


async def test_a_stop_and_a_continuation_keep_the_keys(
    wire: Any, command: Callable[..., list[str]], emotion: Callable[..., Emotion]
) -> None:
    with Terminal(command("watch", "--socket", wire.path)) as terminal:
        await asyncio.to_thread(terminal.until, HINT)
        terminal.process.send_signal(signal.SIGSTOP)
        os.waitpid(terminal.process.pid, os.WUNTRACED)
        # As a shell does.
        termios.tcsetattr(terminal._slave, termios.TCSANOW, terminal.modes_before)
        terminal.process.send_signal(signal.SIGCONT)
        wire.publisher.publish(emotion(final=True))
        await asyncio.to_thread(terminal.until, "angry 0.58")
        terminal.press("l")
        await asyncio.to_thread(terminal.until, f"u-17 {PROMPT}")
        terminal.press("\x03")
        assert await asyncio.to_thread(terminal.wait) == 130
        assert terminal.modes == terminal.modes_before


async def test_with_output_that_is_piped_the_terminal_is_left_alone(
    wire: Any, command: Callable[..., list[str]]
) -> None:
    ours, theirs = os.pipe()
    with open(ours) as output, Terminal(command("watch", "--socket", wire.path), output=theirs) as terminal:
        os.close(theirs)
        assert "listening on USB Mic" in await asyncio.to_thread(output.readline)
        assert terminal.modes == terminal.modes_before
        terminal.press("\x03")
        assert await asyncio.to_thread(terminal.wait) == 130


def daemon_in_terminal(folder: Path, *arguments: str, **environment: str) -> Terminal:
    program = [sys.executable, "-m", "ser_daemon.cli.daemon", "--socket", str(folder / "ser.sock"), *arguments]
    folders = {"XDG_CONFIG_HOME": str(folder / "config"), "XDG_STATE_HOME": str(folder / "state")}
    return Terminal(program, {**folders, **environment})


def test_the_daemons_own_view_says_why_a_recording_is_not_corrected(folder: Path) -> None:
    with daemon_in_terminal(folder, "--mic", f"file:{bundled_recording()}") as terminal:
        terminal.until(HINT)
        terminal.until("u-1 as a whole")
        terminal.press("l")
        terminal.until("[n]eutral")
        terminal.press("h")
        terminal.until("Corrections are not taken from a recording")
        terminal.press("\x03")
        terminal.wait()
        assert terminal.modes == terminal.modes_before


@pytest.fixture(scope="module")
def pulse() -> Iterator[PulseAudio]:
    with virtual_microphone() as server:
        yield server


def test_the_daemons_own_view_corrects_what_was_said_into_the_microphone(
    pulse: PulseAudio, folder: Path, tmp_path: Path
) -> None:
    samples, _ = soundfile.read(SYNTHETIC_SPEECH, dtype="int16")
    utterance = tmp_path / "utterance.wav"
    soundfile.write(utterance, samples[9_600:70_400], 16_000)
    settings = {
        "SER_ADAPTATION_CORRECTIONS": "true",
        "SER_DECISION_UNLIKE_SPEECH": "false",
        "SER_DECISION_MIN_VOICED_MS": "0",
    }
    with daemon_in_terminal(folder, **pulse.environment, **settings) as terminal:
        terminal.until("listening on")
        player = pulse.play(utterance)
        terminal.until("u-1 as a whole")
        terminal.press("lh")
        terminal.until("u-1 counts as happy; it takes effect")
        assert (folder / "state" / "ser-daemon" / "taught.json").exists()
        player.wait(20)
        terminal.press("\x03")
        terminal.wait()
        assert terminal.modes == terminal.modes_before
