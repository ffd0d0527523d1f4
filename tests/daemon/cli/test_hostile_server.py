"""Whatever a server sends, a terminal only shows it, and the commands end with one sentence."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from ser_daemon.cli.ctl_requests import COMMANDS, describe_answer
from ser_daemon.client.wire import decode
from ser_daemon.views.live import LiveView
from ser_daemon.views.text import describe
from ser_model.errors import SerError
from support.commands import environment, program, run

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\n\u202e[/red][link=x]" + "A" * 5_000
"""Sets the title, clears the screen, starts a line, turns the direction of writing, and is markup of rich."""

EVENTS: dict[str, dict[str, Any]] = {
    "hello": {
        "protocol": 1, "server": "s", "model": "m", "labels": ["sad"], "state": "listening", "speaking": False,
        "muted": False, "device": "d",
    },
    "audio-state": {"state": "no-device", "device": "d", "reason": "r", "retry_in_ms": 1, "timestamp": 1, "time": "t"},
    "voice-started": {"utterance_id": "u", "timestamp": 1, "time": "2026-11-22T08:44:01.123Z"},
    "voice-stopped": {"utterance_id": "u", "timestamp": 1, "time": "2026-11-22T08:44:01.123Z"},
    "emotion": {
        "utterance_id": "u", "final": True, "label": "unknown", "reason": "r", "top": "sad", "confidence": 0.5,
        "scores": {"sad": 0.5}, "start": 0, "end": 1, "timestamp": 1, "time": "2026-11-22T08:44:01.123Z",
        "latency_ms": 1.0, "voiced_ms": 1, "activation": {"level": "high", "probability": 0.9},
    },
}  # fmt: skip


def evil_events() -> list[bytes]:
    """Return every event with all its texts replaced, also those of an object in a field."""

    def evil(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: evil(inner) for key, inner in value.items()}
        return EVIL if isinstance(value, str) else value

    lines = []
    for name, data in EVENTS.items():
        lines.append(json.dumps({"type": name, "data": evil(data)}, ensure_ascii=False).encode())
    return lines


def is_shown_only(text: str) -> bool:
    return all(character.isprintable() or character == "\n" for character in text)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Any]:
    """Starts a server that sends given lines to everybody who connects or asks; returns its path."""
    with contextlib.ExitStack() as stack:

        def start(*lines: bytes) -> str:
            path = str(tmp_path / "s")
            listener = socket.socket(socket.AF_UNIX)
            stack.callback(listener.close)
            listener.bind(path)
            listener.listen()

            def answer() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        peer, _ = listener.accept()
                        stack.callback(peer.close)
                        peer.sendall(b"".join(line + b"\n" for line in lines))

            threading.Thread(target=answer, daemon=True).start()
            return path

        yield start


@pytest.mark.parametrize("command", [["status"], ["metrics"], ["describe"], ["hold"], ["reload"], ["ping"]])
def test_ser_ctl_shows_a_refusal_in_one_short_line(serve, command: list[str]) -> None:
    path = serve(json.dumps({"type": "error", "id": 1, "data": {"code": "x", "text": EVIL}}).encode())
    ended = run("ser-ctl", "--socket", path, *command)
    assert ended.code == 1
    assert is_shown_only(ended.err)
    assert ended.err.startswith(r"ser-ctl: \x1b]0;owned\x07\x1b[2J\x9b31m\r\n\u202e[/red]")
    assert ended.err.count("\n") == 1
    assert len(ended.err) < 1_100


ANSWERS: dict[str, dict[str, Any]] = {
    "status": {"state": EVIL, "device": EVIL, "reason": EVIL, "model": EVIL, "version": EVIL, "seq": EVIL},
    "metrics": {EVIL: EVIL},
    "describe": {
        "ser": [{"name": EVIL, "version": EVIL, "protocol": EVIL, "models": [{"name": EVIL, "labels": [EVIL]}]}]
    },
    "mute": {"text": EVIL},
}  # fmt: skip


@pytest.mark.parametrize("command", ANSWERS)
def test_ser_ctl_shows_an_answer_in_few_short_lines(serve, command: str) -> None:
    path = serve(json.dumps({"type": "x", "id": 1, "data": ANSWERS[command]}).encode())
    ended = run("ser-ctl", "--socket", path, command)
    assert ended.code == 0, ended.err
    assert is_shown_only(ended.out)
    assert ended.out.count("\n") <= 5
    assert len(ended.out) < 6_000


def test_ser_watch_plain_shows_events_in_one_short_line_each(serve) -> None:
    path = serve(*evil_events(), json.dumps({"type": "error", "data": {"code": "x", "text": EVIL}}).encode())
    ended = run("ser-watch", "--plain", "--socket", path)
    assert is_shown_only(ended.out + ended.err)
    assert ended.out.count("\n") == len(EVENTS)
    assert len(ended.out) < len(EVENTS) * 1_100
    assert len(ended.err.splitlines()) == 1
    assert ended.code == 2


@pytest.mark.parametrize("form", ["--json", "--live"])
def test_ser_watch_on_a_terminal_shows_no_escape_sequence_of_a_server(serve, form: str) -> None:
    path = serve(*evil_events(), json.dumps({"type": "error", "data": {"code": "x", "text": EVIL}}).encode())
    leader, follower = pty.openpty()
    arguments = [*program("ser-watch"), "--socket", path, *([] if form == "--live" else [form])]
    process = subprocess.Popen(
        arguments, stdout=follower, stderr=subprocess.PIPE, env=environment(TERM="xterm"), text=True
    )
    os.close(follower)
    shown = b""
    deadline = time.monotonic() + 30
    with contextlib.suppress(OSError):
        while time.monotonic() < deadline and (piece := os.read(leader, 65_536)):
            shown += piece
    os.close(leader)
    assert process.wait(30) == 2
    assert process.stderr is not None
    err = process.stderr.read()
    process.stderr.close()
    assert is_shown_only(err)
    assert len(err.splitlines()) == 1
    text = shown.decode()
    assert "owned" in text
    for sequence in ("\x1b]", "\x07", "\x9b", "\u202e", "\x1b[31m\x1b[2Jowned", "0;owned\x07"):
        assert sequence not in text, sequence
    if form == "--json":
        assert json.loads(text.splitlines()[0])["data"]["server"] == EVIL


VALUES = st.recursive(
    st.sampled_from([EVIL, "[/x]", "0001-01-01T00:00:00", 10**400, -(10**400), float("nan"), float("inf"), None, True])
    | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["sad", EVIL, "name"]), inner, max_size=3)
    ),
    max_leaves=4,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_event_is_shown_or_refused(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(EVENTS)))
    changes = data.draw(st.dictionaries(st.sampled_from(sorted(EVENTS[name])), VALUES, min_size=1, max_size=3))
    if name == "emotion" and data.draw(st.booleans()):
        changes["activation"] = data.draw(
            st.fixed_dictionaries({}, optional={"level": VALUES | st.just("low"), "probability": VALUES})
        )
    view = LiveView(io.StringIO())
    try:
        event = decode(json.dumps({"type": name, "data": EVENTS[name] | changes}).encode())
        assert event is not None
        line = describe(event)
        view.event(event)
        console = Console(file=io.StringIO(), width=80, height=24)
        with console.capture() as capture:
            console.print(view.render())
    except SerError:
        return
    finally:
        view.close()
    assert line.isprintable()
    assert len(line) <= 1_000
    assert is_shown_only(capture.get())


FIELDS = (
    "state device reason uptime_seconds level_dbfs noise_floor_dbfs model ms ser text adaptation adaptation_seconds "
    "seq taught profile corrections newest refusal"
)


@settings(max_examples=300, deadline=None)
@given(
    command=st.sampled_from(sorted(COMMANDS)),
    answer=st.dictionaries(
        st.sampled_from(FIELDS.split()) | st.text(max_size=4), VALUES | st.just("running"), max_size=5
    ),
    level=VALUES,
)
def test_any_answer_is_described_or_refused(command: str, answer: dict[str, Any], level: Any) -> None:
    with contextlib.suppress(SerError):
        assert is_shown_only(describe_answer(command, answer))
    view = LiveView(io.StringIO())
    view.level(level, level)
    view.close()
