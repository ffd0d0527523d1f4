"""A real daemon process, fed through stdin or a file: its life from start to every kind of end."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from support.daemon import Daemon, numbered, run_daemon, wait_for
from support.models import with_activation
from support.speech import SYNTHETIC_SPEECH

RATE = 16_000
STDIN = ("--mic", "stdin", "--rate", "16000")


@pytest.fixture(scope="module")
def speech() -> npt.NDArray[np.int16]:
    """The synthetic recording: six utterances."""
    samples, rate = soundfile.read(SYNTHETIC_SPEECH, dtype="int16")
    assert rate == RATE
    return np.asarray(samples, np.int16)


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """A daemon that hears what a test writes."""
    with Daemon(*STDIN, feed=True) as running:
        yield running


def first_utterance(speech: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    """Up to the middle of the first utterance, so that it stays open."""
    return speech[: int(2.8 * RATE)]


def test_a_subscriber_gets_every_utterance_whole_and_in_order(daemon: Daemon, speech: npt.NDArray[np.int16]) -> None:
    client = daemon.subscribe()
    assert client.hello["data"]["device"] == "stdin"
    daemon.write(speech)
    daemon.end_of_input()
    events = client.rest()
    assert daemon.wait() == 0
    assert list(numbered(events)) == list(range(client.hello["data"]["seq"] + 1, events[-1]["data"]["seq"] + 1))
    assert events[-1]["data"]["state"] == "stopping"
    spoken = [event for event in events if event["type"] != "audio-state"]
    for number in range(1, 7):
        story = [event for event in spoken if event["data"]["utterance_id"] == f"u-{number}"]
        kinds = [event["type"] for event in story]
        assert kinds == ["voice-started", *["emotion"] * (len(kinds) - 2), "voice-stopped"]
        finals = [event["data"]["final"] for event in story if event["type"] == "emotion"]
        assert finals == [False] * (len(finals) - 1) + [True]
        assert len(finals) > 1
    assert len({event["data"]["utterance_id"] for event in spoken}) == 6


def test_a_model_with_an_activation_tells_it_also_where_the_label_is_unknown(
    tmp_path: Path, speech: npt.NDArray[np.int16]
) -> None:
    pair = with_activation(tmp_path, slope=2.0, offset=-0.5, unknown_below=0.8)
    with Daemon(*STDIN, "--model", str(pair.window), "--plain", feed=True) as daemon:
        client = daemon.subscribe()
        daemon.write(speech)
        daemon.end_of_input()
        emotions = [event["data"] for event in client.rest() if event["type"] == "emotion"]
        assert daemon.wait() == 0
        lines = daemon.stdout.splitlines()
    assert emotions
    for emotion in emotions:
        scores, found = emotion["scores"], emotion["activation"]
        high = sum(scores[label] for label in ("happy", "angry", "fearful", "surprised"))
        logit = 2.0 * math.log(high / sum(scores[label] for label in ("neutral", "calm", "sad"))) - 0.5
        # The scores are rounded.
        assert found["probability"] == pytest.approx(1 / (1 + math.exp(-logit)), abs=0.02)
        short = emotion.get("reason") == "too-short"
        doubt = short or 0.2 < found["probability"] < 0.8
        assert found["level"] == ("unknown" if doubt else "high" if found["probability"] > 0.5 else "low")
    told = [emotion for emotion in emotions if emotion["activation"]["level"] != "unknown"]
    assert "unknown" in {emotion["label"] for emotion in told}
    assert len([line for line in lines if "  activation " in line]) == len(told)


def test_a_temperature_of_the_configuration_leaves_no_activation(tmp_path: Path, speech: npt.NDArray[np.int16]) -> None:
    pair = with_activation(tmp_path, slope=2.0, offset=-0.5, unknown_below=0.8)
    settings = tmp_path / "settings.yaml"
    settings.write_text("decision: {temperature: 1.0}\n")
    with Daemon(*STDIN, "--model", str(pair.window), "--config", str(settings), "--plain", feed=True) as daemon:
        client = daemon.subscribe()
        daemon.write(first_utterance(speech))
        daemon.end_of_input()
        found = [event["data"]["activation"] for event in client.rest() if event["type"] == "emotion"]
        assert daemon.wait() == 0
        assert "activation" not in daemon.stdout
    assert found
    assert set(found) == {None}


def test_a_file_in_real_time_comes_at_its_own_pace_and_ends_with_exit_code_0(
    tmp_path: Path, speech: npt.NDArray[np.int16]
) -> None:
    path = tmp_path / "speech.wav"
    soundfile.write(path, speech[: 5 * RATE], RATE)
    begun = time.monotonic()
    with Daemon("--mic", f"file:{path}") as daemon:
        events = daemon.subscribe().rest()
        assert daemon.wait() == 0
        assert 5.0 <= time.monotonic() - begun < 12
        updates = [
            event["data"]["latency_ms"] for event in events if event["type"] == "emotion" and not event["data"]["final"]
        ]
        assert updates
        assert min(updates) < 200


def test_live_and_fast_give_the_same_positions(tmp_path: Path, speech: npt.NDArray[np.int16]) -> None:
    path = tmp_path / "speech.wav"
    soundfile.write(path, speech[: 5 * RATE], RATE)
    code, fast, _ = run_daemon("--mic", f"file:{path}", "--fast", "--plain")
    assert code == 0
    code, live, _ = run_daemon("--mic", f"file:{path}", "--realtime", "--plain")
    assert code == 0
    assert fast == live
    assert "u-1" in fast


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_within_a_second_and_the_open_utterance_gets_its_final(
    daemon: Daemon, speech: npt.NDArray[np.int16], number: signal.Signals
) -> None:
    client = daemon.subscribe()
    daemon.write(first_utterance(speech))
    client.until("emotion")
    begun = time.monotonic()
    daemon.signal(number)
    rest = client.rest()
    assert daemon.wait() == 0
    assert time.monotonic() - begun < 1.0
    last = [(event["type"], event["data"].get("final"), event["data"].get("state")) for event in rest[-3:]]
    assert last == [("emotion", True, None), ("voice-stopped", None, None), ("audio-state", None, "stopping")]
    assert not daemon.socket.exists()
    assert not daemon.control.exists()
    assert "Traceback" not in daemon.stderr


def test_nothing_keeps_a_silent_daemon_from_ending(daemon: Daemon) -> None:
    daemon.subscribe()
    begun = time.monotonic()
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert time.monotonic() - begun < 1.0


def test_mute_ends_the_utterance_and_later_speech_is_not_heard(daemon: Daemon, speech: npt.NDArray[np.int16]) -> None:
    client, control = daemon.subscribe(), daemon.controller()
    daemon.write(first_utterance(speech))
    client.until("emotion")
    assert control.request("mute")["type"] == "done"
    assert control.request("status")["data"]["state"] == "muted"
    assert client.until(lambda event: event["data"].get("final") is True)["type"] == "emotion"
    assert client.next()["type"] == "voice-stopped"
    assert client.next()["data"]["state"] == "muted"
    daemon.write(speech)
    control.request("ping")
    daemon.end_of_input()
    assert [event["data"]["state"] for event in client.rest()] == ["stopping"]


def test_mute_survives_a_restart(tmp_path: Path) -> None:
    for verb, state in (("mute", "listening"), ("unmute", "muted")):
        with Daemon(*STDIN, feed=True, folder=tmp_path) as daemon:
            control = daemon.controller()
            assert control.request("status")["data"]["muted"] is (state == "muted")
            assert control.request(verb)["type"] == "done"
            daemon.signal(signal.SIGKILL)
            daemon.wait()
    with Daemon(*STDIN, feed=True, folder=tmp_path) as daemon:
        assert daemon.subscribe().hello["data"]["muted"] is False


def test_hold_hears_nothing_until_release(daemon: Daemon, speech: npt.NDArray[np.int16]) -> None:
    client, control = daemon.subscribe(), daemon.controller()
    control.request("hold")
    client.until("state:held")
    # The silence is more than fits into the pipe: when it is written, the speech was read.
    daemon.write(np.concatenate((speech[: 4 * RATE], np.zeros(4 * RATE, np.int16))))
    control.request("release")
    client.until("state:listening")
    daemon.end_of_input()
    assert {event["type"] for event in client.rest()} <= {"audio-state"}


def test_a_reload_takes_the_new_settings_and_says_what_changed(tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("gate: {hangover_ms: 700}\n")
    with Daemon(*STDIN, "--config", str(settings), feed=True) as daemon:
        control = daemon.controller()
        assert "nothing changed" in control.request("reload")["data"]["text"]
        settings.write_text("gate: {hangover_ms: 900}\nsocket: {queue_size: 64}\n")
        text = control.request("reload")["data"]["text"]
        assert "gate.hangover_ms" in text
        assert "restart: socket.queue_size" in text


def test_a_reload_that_cannot_be_used_keeps_the_old_settings_and_says_why(tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("gate: {hangover_ms: 700}\n")
    with Daemon(*STDIN, "--config", str(settings), feed=True) as daemon:
        control = daemon.controller()
        settings.write_text("gate: {hangoverms: 700}\n")
        answer = control.request("reload")
        assert answer["type"] == "error"
        assert "old configuration" in answer["data"]["text"]
        assert "hangover_ms" in answer["data"]["text"]
        assert control.request("status")["data"]["state"] == "listening"


def test_sighup_reloads(tmp_path: Path, speech: npt.NDArray[np.int16]) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("service: {log_level: info}\n")
    with Daemon(*STDIN, "--service", "--config", str(settings), feed=True) as daemon:
        client = daemon.subscribe()
        daemon.write(first_utterance(speech))
        client.until("emotion")
        settings.write_text("decision: {update_ms: 250}\n")
        daemon.signal(signal.SIGHUP)
        # The open utterance ends, since another analyzer judges from here on.
        client.until("voice-stopped")
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert "Reloaded; changed: decision.update_ms." in daemon.stderr


def test_a_second_daemon_says_who_holds_the_socket(daemon: Daemon) -> None:
    daemon.subscribe()
    second = subprocess.run(
        [sys.executable, "-m", "ser_daemon.cli.daemon", *STDIN, "--socket", str(daemon.socket)],
        env=os.environ | {"XDG_CONFIG_HOME": str(daemon.folder), "XDG_STATE_HOME": str(daemon.folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert second.returncode == 2
    assert f"process {daemon.process.pid}" in second.stderr
    assert len(second.stderr.splitlines()) == 1
    assert daemon.controller().request("ping")["type"] == "pong"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--mic", "file:/nowhere/speech.wav"), ["/nowhere/speech.wav"]),
        (("--mic", "file:/dev/null"), ["/dev/null"]),
        (("--mic", "no such microphone"), ["microphone"]),
        (("--config", "/nowhere/config.yaml"), ["/nowhere/config.yaml"]),
        (("--mic", "stdin", "--rate", "16000", "--format", "s16"), ["s16le"]),
        (("--mic", "stdin", "--rate", "16000", "--model", "/nowhere/model"), ["/nowhere/model"]),
        (("--mic", "stdin"), ["stdin", "before any audio"]),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(arguments: tuple[str, ...], words: list[str]) -> None:
    code, _, error = run_daemon(*arguments)
    assert code == 2
    assert error.startswith("ser-daemon: ")
    assert len(error.splitlines()) == 1
    assert all(word in error for word in words)


def test_a_service_waits_for_a_missing_device_in_the_state_no_device() -> None:
    with Daemon("--mic", "no such microphone", "--service") as daemon:
        client = daemon.subscribe()
        if client.hello["data"]["state"] != "no-device":
            state = client.until("state:no-device")["data"]
            assert state["retry_in_ms"] >= 500
            assert state["reason"]
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert daemon.stderr.count("no-device") == 1


BROKEN = """
    import sys, threading
    import numpy as np
    from ser_daemon.cli import daemon as command
    from ser_daemon.service import engine
    from ser_daemon.sources import Chunk, boot_time

    class Broken:
        name, live, reads = "broken", True, 0

        def open(self): pass
        def close(self): pass

        def read(self):
            self.reads += 1
            if self.reads < 4:
                return Chunk(np.ones(1600, np.int16), boot_time())
            if sys.argv[-1] == "hang":
                print("hangs now", flush=True)
                threading.Event().wait()
            sys.stdin.read()  # till the test has subscribed
            raise RuntimeError("a bug")

    engine.make_source = lambda config: Broken()
    sys.exit(command.main(sys.argv[1:-1]))
"""


@pytest.mark.parametrize("how", ["hang", "raise"])
def test_a_capture_thread_that_hangs_or_dies_ends_the_process_and_subscribers_are_told(how: str) -> None:
    program = [sys.executable, "-c", textwrap.dedent(BROKEN)]
    with Daemon("--service", how, program=program, feed=True) as daemon:
        client = daemon.subscribe()
        daemon.end_of_input()
        last = client.rest()[-1]
        assert last["data"]["state"] == "stopping"
        assert "capture" in last["data"]["reason"]
        assert daemon.wait() == 1
        assert "in read" in daemon.stderr  # where the thread was


def test_a_capture_thread_that_hangs_does_not_keep_a_signal_from_ending_the_process() -> None:
    program = [sys.executable, "-c", textwrap.dedent(BROKEN)]
    with Daemon("--service", "hang", program=program) as daemon:
        client = daemon.subscribe()
        wait_for(lambda: "hangs now" in daemon.stdout)
        begun = time.monotonic()
        daemon.signal(signal.SIGTERM)
        assert client.rest()[-1]["data"]["state"] == "stopping"
        assert daemon.wait() == 1
        assert time.monotonic() - begun < 1.5
        assert "without waiting for: capture" in daemon.stderr


def test_a_second_interrupt_ends_it_at_once() -> None:
    program = [sys.executable, "-c", textwrap.dedent(BROKEN)]
    with Daemon("--service", "hang", program=program) as daemon:
        wait_for(lambda: "hangs now" in daemon.stdout)
        daemon.signal(signal.SIGINT)
        time.sleep(0.05)  # two signals at once are one to the kernel
        daemon.signal(signal.SIGINT)
        assert daemon.wait(0.4) == 130


def test_a_reader_of_its_output_that_goes_away_ends_it_quietly(tmp_path: Path) -> None:
    socket = tmp_path / "s"
    arguments = f"--mic file:{SYNTHETIC_SPEECH} --fast --socket {socket}"
    process = subprocess.run(
        f"{sys.executable} -m ser_daemon.cli.daemon {arguments} | head -n 1",
        shell=True,
        capture_output=True,
        text=True,
        timeout=30,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        check=False,
    )
    assert len(process.stdout.splitlines()) == 1
    assert "Traceback" not in process.stderr
    assert not socket.exists()


def test_help_is_instant_and_loads_no_numerics() -> None:
    code = "import sys; from ser_daemon.cli.daemon import build_parser; build_parser(); print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True
    ).stdout.split()
    assert not {"numpy", "onnxruntime", "sounddevice", "rich", "asyncio", "yaml"} & set(modules)


def test_watchdog_is_fed_and_the_life_cycle_told_to_systemd(tmp_path: Path) -> None:
    import socket as sockets

    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "n"))
        manager.settimeout(20)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "n")}
        with Daemon(*STDIN, feed=True, environment=environment) as daemon:
            told: list[str] = []
            while told.count("WATCHDOG=1") < 2:
                told.append(manager.recv(4096).decode())
            daemon.signal(signal.SIGTERM)
            while not told[-1].startswith("STOPPING=1"):
                told.append(manager.recv(4096).decode())
            # What the ears do is told whenever it changes, so anywhere in between.
            told = [message for message in told if not message.startswith("STATUS=")]
            assert told[0].startswith("READY=1")
            assert set(told[1:-1]) == {"WATCHDOG=1"}
            assert daemon.wait() == 0
