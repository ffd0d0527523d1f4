"""A real daemon with misbehaving clients, and commands that are interrupted or lose their reader."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from support.commands import WAIT, environment, program, shell
from support.daemon import Daemon, numbered, wait_for
from support.speech import SYNTHETIC_SPEECH

pytestmark = pytest.mark.usefixtures("minute")

STDIN = ("--mic", "stdin", "--rate", "16000")


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """Run a daemon that reads what a test writes."""
    with Daemon(*STDIN, feed=True) as running:
        running.subscribe()
        yield running


def connect(daemon: Daemon) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(WAIT)
    client.connect(str(daemon.socket))
    return client


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"\x00\xff\xfe\x80 binary garbage \r\n", "bad-line"),
        (b"y" * 1_000_000 + b"\n", "line-too-long"),
        (b'{"type":"status"', "bad-line"),
        (b'{"type":"mute"}\n', "not-permitted"),
    ],
    ids=["garbage", "a megabyte", "half a line", "a control verb on the wrong socket"],
)
def test_a_bad_line_is_answered_and_the_connection_lives(daemon: Daemon, sent: bytes, code: str) -> None:
    with connect(daemon) as client:
        client.sendall(sent)
        if not sent.endswith(b"\n"):
            client.shutdown(socket.SHUT_WR)
        lines = client.makefile("rb")
        assert json.loads(lines.readline())["type"] == "hello"
        error = json.loads(lines.readline())
        assert (error["type"], error["data"]["code"]) == ("error", code)
        assert error["data"]["text"]
        if sent.endswith(b"\n"):
            client.sendall(b'{"type":"ping"}\n')
            assert json.loads(lines.readline())["type"] == "pong"
    assert daemon.controller().request("ping")["type"] == "pong"


def test_a_client_that_closed_its_sending_side_gets_all_events(daemon: Daemon) -> None:
    samples, _ = soundfile.read(SYNTHETIC_SPEECH, dtype="int16")
    with connect(daemon) as client:
        client.shutdown(socket.SHUT_WR)
        daemon.write(np.asarray(samples[: 5 * 16_000]))
        daemon.end_of_input()
        types = [json.loads(line)["type"] for line in client.makefile("rb")]
    assert types[0] == "hello"
    assert {"voice-started", "emotion", "voice-stopped"} <= set(types)
    assert types[-1] == "audio-state"


def test_200_clients_that_never_read_do_not_cost_another_an_event(daemon: Daemon) -> None:
    samples, _ = soundfile.read(SYNTHETIC_SPEECH, dtype="int16")
    crowd = [connect(daemon) for _ in range(200)]
    healthy = daemon.subscribe()
    wait_for(lambda: daemon.controller().request("metrics")["data"]["clients"] > 201)
    daemon.write(np.asarray(samples))
    daemon.end_of_input()
    events = healthy.rest()
    assert daemon.wait() == 0
    assert "Traceback" not in daemon.stderr
    numbers = list(numbered(events))
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert sum(event["type"] == "voice-stopped" for event in events) == 6
    for client in crowd:
        client.close()


def test_sighup_with_a_broken_file_keeps_the_old_settings_and_logs_why(tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("gate: {hangover_ms: 700}\n")
    with Daemon(*STDIN, "--service", "--config", str(settings), feed=True) as daemon:
        control = daemon.controller()
        settings.write_text("gate: {hangover_ms: soon}\n")
        daemon.signal(signal.SIGHUP)
        wait_for(lambda: "old configuration stays" in daemon.stderr)
        assert "settings.yaml:1" in daemon.stderr
        assert control.request("status")["data"]["state"] == "listening"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere; the next test covers this for root")
def test_a_state_folder_without_permission_is_logged_once(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o500)
    check_unwritable_state(folder / "ser-daemon")


def test_a_file_as_state_folder_is_logged_once(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    check_unwritable_state(tmp_path / "state")


def check_unwritable_state(folder: Path) -> None:
    with Daemon(*STDIN, feed=True, environment={"SER_SERVICE_STATE_DIRECTORY": str(folder)}) as daemon:
        control = daemon.controller()
        for verb in ("mute", "unmute", "mute"):
            assert control.request(verb)["type"] == "done"
        assert control.request("status")["data"]["muted"] is True
        assert len(daemon.stderr.splitlines()) == 1
        assert str(folder) in daemon.stderr


@pytest.mark.parametrize("form", ["--json", "--plain"])
def test_watching_ends_with_the_reader_of_its_output_also_in_silence(daemon: Daemon, form: str) -> None:
    ended = shell(f"{{ser-watch}} --socket {daemon.socket} {form} | head -n 1")
    assert (ended.code, ended.err) == (0, "")
    assert len(ended.out.splitlines()) == 1


@pytest.mark.parametrize(
    "line",
    [
        "{ser-daemon} --check --mic file:/nowhere | true",
        "{ser-daemon} --list-devices | true",
        "{ser-daemon} --help | true",
        "{ser-ctl} --help | true",
        "{ser-model} --help | true",
    ],
)
def test_a_closed_output_is_no_error(line: str) -> None:
    assert "Traceback" not in shell(line, PYTHONUNBUFFERED="1").err
    assert shell(line).err == ""


@pytest.mark.parametrize("form", ["--json", "--plain"])
def test_watching_without_a_daemon_ends_with_ctrl_c(tmp_path: Path, form: str) -> None:
    process = start("ser-watch", "--socket", str(tmp_path / "s"), form)
    assert process.stderr is not None
    assert "Waiting for it" in process.stderr.readline()
    check_interrupted(process, 130)


def test_a_request_without_an_answer_ends_with_ctrl_c(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        listener.settimeout(WAIT)
        process = start("ser-ctl", "--socket", str(tmp_path / "s"), "status")
        connection, _ = listener.accept()
        with connection:
            check_interrupted(process, 130)


def test_a_request_without_an_answer_times_out(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        process = start("ser-ctl", "--socket", str(tmp_path / "s"), "--timeout", "0.2", "status")
        _, error = process.communicate(timeout=WAIT)
    assert error == "ser-ctl: The daemon did not answer 'status' within 0.2 s.\n"
    assert process.returncode == 2


@pytest.mark.parametrize("delay", [0.1, 0.2, 0.3, 0.4, 0.6])
def test_a_daemon_that_is_still_starting_ends_with_ctrl_c(tmp_path: Path, delay: float) -> None:
    # Before this line runs, Python itself handles Ctrl-C.
    mark = "import os; os.write(2, b'begun\\n')"
    arguments = ("--mic", f"file:{SYNTHETIC_SPEECH}", "--plain", "--socket", str(tmp_path / "s"))
    process = start("ser-daemon", *arguments, before=mark)
    assert process.stderr is not None
    assert process.stderr.readline() == "begun\n"
    # The time of the interrupt is what the test varies.
    time.sleep(delay)
    check_interrupted(process, 0, 130)
    assert list(tmp_path.iterdir()) == []


def start(name: str, *arguments: str, before: str = "pass") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*program(name, before), *arguments],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def check_interrupted(process: subprocess.Popen[str], *codes: int) -> None:
    """Send a Ctrl-C; assert that the process ends soon with one of these codes and without output on stderr."""
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=WAIT)
    assert time.monotonic() - begun < 5
    assert error == ""
    assert process.returncode in codes
