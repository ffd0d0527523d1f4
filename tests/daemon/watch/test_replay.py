"""Recordings that are played: to the output, and to clients of a socket."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ser_daemon.client import AsyncClient, Client, Emotion, Hello, NotRunning, RequestFailed
from ser_daemon.watch.replay import replay
from ser_daemon.wire.publisher import Filter
from support.commands import environment, program, run
from support.daemon import WAIT, Subscriber
from support.talk import FINALS, TALK, entries


@contextmanager
def served(path: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A recording on a socket."""
    command = [*program("ser-watch"), "--replay", str(TALK), "--serve", str(path), *arguments]
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        try:
            assert "It begins when the first client connects." in process.stderr.readline()
            yield process
        finally:
            process.kill()


def test_json_prints_the_recorded_lines_to_the_byte() -> None:
    done = run("ser-watch", "--replay", str(TALK), "--fast", "--json")
    assert (done.code, done.err) == (0, "")
    assert done.out.encode() == b"".join(entry.line + b"\n" for entry in entries())


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["--finals"], lambda data: data.get("final", True)),
        (["--events", "emotion,voice-stopped"], lambda data: "final" in data or data.get("seq") in (49, 57, 66)),
        (["--min-confidence", "0.5"], lambda data: data.get("confidence", 1) >= 0.5),
        (["--finals", "--min-confidence", "0.5", "--events", "emotion"], lambda data: data["seq"] == 56),
    ],
)
def test_a_recording_is_filtered_as_the_daemon_filters(arguments, wanted) -> None:
    done = run("ser-watch", "--replay", str(TALK), "--fast", "--json", *arguments)
    hello, *lines = [json.loads(line) for line in done.out.splitlines()]
    assert hello["type"] == "hello"
    events = [json.loads(entry.line) for entry in entries()][1:]
    assert lines == [event for event in events if wanted(event["data"])]
    assert 0 < len(lines) < len(events)


async def test_a_recording_is_played_at_its_own_pace_or_fast(tmp_path) -> None:
    short = tmp_path / "short"
    short.write_bytes(b"".join(TALK.read_bytes().splitlines(keepends=True)[:6]))
    for fast in (False, True):
        started = time.monotonic()
        came = [time.monotonic() - started async for _ in replay(short, Filter(), fast=fast)]
        due = [0.0 if fast else entry.seconds for entry in entries(short)]
        assert due[-1] > 0.5 or fast
        assert all(time_ >= when - 0.01 for time_, when in zip(came, due, strict=True))
        assert came[-1] < due[-1] + 0.5


def test_a_client_gets_the_recorded_events_from_the_socket(tmp_path) -> None:
    with served(tmp_path / "s", "--fast") as process:
        found = []
        with pytest.raises(NotRunning, match="closed the connection"):
            found += Client(tmp_path / "s").subscribe()
        assert process.wait(WAIT) == 0
        assert process.stderr.read() == ""
    assert found == [entry.event for entry in entries()]
    assert not (tmp_path / "s").exists()


async def test_the_served_recording_speaks_the_protocol(tmp_path) -> None:
    path = tmp_path / "s"
    with served(path) as process:
        client = AsyncClient(path)
        events = client.subscribe(events=["emotion"], partial=False, min_confidence=0.5)
        hello = await anext(events)
        assert isinstance(hello, Hello)
        assert (hello.seq, hello.model, hello.device) == (40, "reslstm-sa-h64", "stdin")
        status = await client.request("status")
        assert (status["state"], status["device"], status["version"]) == ("listening", "stdin", "0.1.0")
        assert (await client.request("ping", text="x"))["text"] == "x"
        assert (await client.request("metrics"))["subscribers"] == 1
        for verb in ("mute", "unmute", "hold", "release", "reload", "reset-adaptation", "taught"):
            with pytest.raises(RequestFailed, match="This is a recording"):
                await client.request(verb)
        with pytest.raises(RequestFailed, match="This is a recording"):
            await client.label("last", "happy")
        event = await asyncio.wait_for(anext(events), WAIT)
        assert isinstance(event, Emotion)
        assert (event.label, event.seq) == ("angry", 56)
        process.terminate()
        assert process.wait(WAIT) == 143
    assert not path.exists()


def test_nothing_is_played_before_the_first_client_comes(tmp_path) -> None:
    with served(tmp_path / "s", "--fast"):
        time.sleep(0.5)
        client = Subscriber(tmp_path / "s")
        assert [line["data"]["seq"] for line in client.rest()] == list(range(41, 68))


def test_finals_reach_ser_watch_through_a_served_recording(tmp_path) -> None:
    with served(tmp_path / "s", "--fast") as process:
        command = [*program("ser-watch"), "--socket", str(tmp_path / "s"), "--finals", "--events", "emotion", "--json"]
        with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watch:
            lines = [json.loads(watch.stdout.readline()) for _ in range(4)]
            watch.kill()
        assert process.wait(WAIT) == 0
    assert [line["data"].get("label") for line in lines] == [None, *FINALS]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--fast"], ["--fast", "--replay"]),
        (["--serve", "/tmp/x"], ["--serve", "--replay"]),
        (["--replay", str(TALK), "--serve", "/nonexistent/folder/s"], ["/nonexistent/folder"]),
        (["--replay", str(TALK), "--serve", "/tmp/" + "x" * 120], ["107"]),
    ],
)
def test_what_cannot_be_is_one_sentence(arguments, words) -> None:
    run("ser-watch", *arguments).assert_error("ser-watch", *words)
