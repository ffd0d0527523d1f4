"""Control verbs in quick succession, while a device opens slowly and while it is a real virtual microphone."""

from __future__ import annotations

import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.daemon import Daemon, Message, Subscriber
from support.pulse import virtual_microphone

ROUNDS = 20

OPEN_SECONDS = 2.0

SLOW = f"""
    import sys, time
    import numpy as np
    from ser_daemon.cli import daemon as command
    from ser_daemon.service import engine
    from ser_daemon.sources import Chunk, boot_time

    class Slow:
        name, live = "slow", True

        def open(self): time.sleep({OPEN_SECONDS})
        def close(self): pass

        def read(self):
            time.sleep(0.05)
            return Chunk(np.ones(800, np.int16), boot_time())

    engine.make_source = lambda config: Slow()
    sys.exit(command.main(sys.argv[1:]))
"""
"""A daemon whose device takes two seconds to open."""


class Verbs:
    """Sends control verbs at once, each on a connection of its own, and watches the audio states."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.events = daemon.subscribe()
        self._control = [daemon.controller() for _ in range(3)]

    def send(self, *verbs: str) -> list[Message]:
        """Send the verbs in this order without waiting in between; return their answers."""
        senders = list(zip(self._control, verbs, strict=True))
        for control, verb in senders:
            control.send(verb)
            # The daemon reads connections in the order in which they become readable.
            time.sleep(0.01)
        return [control.answer() for control, _ in senders]

    def state(self) -> Message:
        """The daemon's status."""
        data: Message = self._control[0].request("status")["data"]
        return data


def start_opening(verbs: Verbs) -> None:
    """Let the device begin to open."""
    opener = verbs.daemon.controller()
    opener.send("unmute")
    time.sleep(0.2)
    opener.close()


def check_muted_at_last(verbs: Verbs) -> None:
    answers = verbs.send("mute", "unmute", "mute")
    assert [answer["type"] for answer in answers] == ["done"] * 3, answers
    assert "listening" not in answers[1]["data"]["text"]
    assert (verbs.state()["muted"], verbs.state()["state"]) == (True, "muted")


def check_listening_at_last(verbs: Verbs) -> None:
    answers = verbs.send("mute", "unmute", "reload")
    assert [answer["type"] for answer in answers] == ["done"] * 3, answers
    text = answers[1]["data"]["text"]
    assert text in ("Unmuted: the device is being opened.", f"Unmuted: listening on {verbs.state()['device']}."), text
    assert verbs.state()["muted"] is False
    # The state was reported in this order, and an answer that says so came after the state.
    verbs.events.until("state:muted")
    verbs.events.until("state:starting")
    if "listening" in text:
        assert verbs.state()["state"] == "listening"
    verbs.events.until("state:listening")


def run_rounds(verbs: Verbs, check: str) -> None:
    verbs.events.until("state:listening") if verbs.events.hello["data"]["state"] != "listening" else None
    for _ in range(ROUNDS):
        if check == "muted":
            start_opening(verbs)
            check_muted_at_last(verbs)
        else:
            check_listening_at_last(verbs)
    assert verbs.daemon.process.poll() is None
    assert "Traceback" not in verbs.daemon.stderr


@pytest.mark.slow
def test_while_a_device_opens_for_two_seconds_the_last_verb_counts(tmp_path: Path) -> None:
    program = [sys.executable, "-c", textwrap.dedent(SLOW)]
    with (
        Daemon("--service", program=program) as first,
        Daemon("--service", program=program) as second,
        ThreadPoolExecutor(2) as threads,
    ):
        done = [
            threads.submit(run_rounds, Verbs(first), "muted"),
            threads.submit(run_rounds, Verbs(second), "listening"),
        ]
        for future in done:
            future.result()


@pytest.mark.parametrize("check", ["muted", "listening"])
def test_with_a_virtual_microphone_the_last_verb_counts(check: str) -> None:
    with virtual_microphone() as pulse, Daemon("--service", environment=pulse.environment) as daemon:
        run_rounds(Verbs(daemon), check)


def test_an_unmute_says_that_a_missing_device_is_missing() -> None:
    with Daemon("--mic", "no such microphone", "--service") as daemon:
        control: Subscriber = daemon.controller()
        control.request("mute")
        assert "no microphone" in control.request("unmute")["data"]["text"]
