"""The two clients of the documentation: `ser-watch --json`, and socat with jq."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import soundfile

from support.daemon import WAIT, Daemon, Message, wait_for
from support.speech import SYNTHETIC_SPEECH

pytestmark = pytest.mark.usefixtures("minute")


@contextmanager
def printing(command: list[str], output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program with an open stdin, as in a terminal, and its output in a file."""
    with (
        output.open("wb") as sink,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=sink, stderr=subprocess.PIPE) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def lines(output: Path) -> list[Message]:
    """Return what a program has printed so far."""
    found: list[Message] = [json.loads(line) for line in output.read_text().splitlines()]
    return found


def since(hello: Message, events: list[Message]) -> list[Message]:
    """Return the events that were published after a client's hello."""
    return [event for event in events if event["data"]["seq"] > hello["data"]["seq"]]


def has_printed(output: Path, wanted: Callable[[Message], bool]) -> Callable[[], bool]:
    """Return a condition: a program has printed a matching line."""
    return lambda: output.read_text().endswith("\n") and any(map(wanted, lines(output)))


def play_recording(
    command: Callable[[Daemon], list[str]], output: Path, number: signal.Signals | None
) -> list[Message]:
    """Run a program and a subscriber while a daemon reads the synthetic recording.

    Args:
        command: Returns the command line of the program.
        output: File for the program's output.
        number: Signal that ends the program after the daemon. `None` waits for it to end by itself.

    Returns:
        The events that the subscriber read.
    """
    samples, rate = soundfile.read(SYNTHETIC_SPEECH, dtype="int16")
    with Daemon("--mic", "stdin", "--rate", str(rate), feed=True) as daemon:
        client = daemon.subscribe()
        with printing(command(daemon), output) as program:
            wait_for(has_printed(output, lambda line: line["type"] == "hello"))
            daemon.write(samples)
            daemon.end_of_input()
            events = client.rest()
            assert daemon.wait() == 0
            wait_for(has_printed(output, lambda line: line["data"].get("state") == "stopping"))
            if number is not None:
                program.send_signal(number)
            assert program.wait(WAIT) == (0 if number is None else 128 + number)
    assert sum(event["type"] == "voice-stopped" for event in events) == 6
    return events


def test_ser_watch_prints_what_the_daemon_publishes(tmp_path: Path) -> None:
    def watch(daemon: Daemon) -> list[str]:
        code = "import sys; from ser_daemon.cli.watch import main; sys.exit(main())"
        return [sys.executable, "-c", code, "--json", "--socket", str(daemon.socket)]

    output = tmp_path / "watch"
    events = play_recording(watch, output, signal.SIGINT)
    hello, *printed = lines(output)
    assert hello["data"]["device"] == "stdin"
    assert printed == since(hello, events)


@pytest.mark.skipif(shutil.which("socat") is None, reason="socat is not installed")
@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_socat_and_jq_print_what_the_daemon_publishes(tmp_path: Path) -> None:
    def pipe(daemon: Daemon) -> list[str]:
        return ["sh", "-c", f"socat - UNIX:{daemon.socket} | jq --unbuffered -c ."]

    output = tmp_path / "socat"
    events = play_recording(pipe, output, None)
    hello, *printed = lines(output)
    assert hello["data"]["labels"][0] == "neutral"
    assert printed == since(hello, events)
