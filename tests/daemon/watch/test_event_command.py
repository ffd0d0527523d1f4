"""Commands that are run for events: one at a time, never losing a final, and failing in a sentence."""

from __future__ import annotations

import asyncio
import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ser_daemon.watch.event_command import EventCommand, parse_command
from ser_model.errors import SerError
from support.commands import environment, program, run
from support.daemon import wait_for
from support.talk import TALK, entries


def script(code: str) -> str:
    """A command line that runs Python code."""
    return shlex.join([sys.executable, "-c", code])


def collect(path: Path, before: str = "") -> str:
    """A command that appends its standard input to a file."""
    return script(f"import sys, time; {before or 'pass'}; open({str(path)!r}, 'ab').write(sys.stdin.buffer.read())")


async def give(command: EventCommand, count: int | None = None) -> None:
    for entry in entries()[:count]:
        await command.offer(entry.line, entry.event)


async def test_the_command_gets_every_event_as_one_line_in_order(tmp_path):
    command = EventCommand(parse_command(collect(tmp_path / "out")), pytest.fail)
    command.start()
    await give(command)
    await command.finish()
    assert (tmp_path / "out").read_bytes() == b"".join(entry.line + b"\n" for entry in entries()[1:])
    assert (command.failures, command.summary()) == (0, None)


async def test_a_slow_command_loses_partial_results_only(tmp_path):
    command = EventCommand(parse_command(collect(tmp_path / "out", "time.sleep(0.02)")), pytest.fail, size=4)
    command.start()
    await asyncio.wait_for(give(command), 60)
    await command.finish()
    got = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    kept = [event["data"]["seq"] for event in got]
    must = [entry.event.seq for entry in entries()[1:] if getattr(entry.event, "final", True)]
    assert [seq for seq in must if seq not in kept] == []
    assert kept == sorted(kept)
    lost = len(entries()) - 1 - len(got)
    assert lost > 0
    assert f"{len(got)} done, {lost} partial results dropped." in command.summary()
    assert command.failures == 0


async def test_the_oldest_partial_result_is_dropped_first(tmp_path, emotion):
    command = EventCommand(parse_command(collect(tmp_path / "out")), pytest.fail, size=2)
    events = [emotion(seq=seq, final=seq == 2) for seq in range(1, 5)]
    for event in events:
        await command.offer(b"%d" % event.seq, event)
    command.start()
    await command.finish()
    assert (tmp_path / "out").read_text().split() == ["2", "4"]


async def test_events_are_given_one_at_a_time(tmp_path):
    code = f"""
import os, sys
os.mkdir({str(tmp_path / "busy")!r}); sys.stdin.read(); os.rmdir({str(tmp_path / "busy")!r})
"""
    command = EventCommand(parse_command(script(code)), pytest.fail)
    command.start()
    await give(command, 12)
    await command.finish()
    assert command.failures == 0


async def test_a_command_that_hangs_is_ended_with_what_it_started(tmp_path):
    child = f"import time; time.sleep(1); open({str(tmp_path / 'late')!r}, 'w')"
    code = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(60)"
    said: list[str] = []
    command = EventCommand(parse_command(script(code)), said.append, limit=0.3)
    command.start()
    started = time.monotonic()
    await give(command, 4)
    await command.finish()
    assert time.monotonic() - started < 20
    assert len(said) == 1
    assert "took more than 0.3 s for voice-started 41 and was ended; more of this is only counted." in said[0]
    assert "0 done, 3 ended after 0.3 s." in command.summary()
    await asyncio.sleep(1.5)
    assert not (tmp_path / "late").exists()


async def test_a_command_that_ignores_sigterm_is_killed(tmp_path):
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    command = EventCommand(parse_command(script(code)), lambda _: None, limit=0.5)
    command.start()
    await give(command, 2)
    await asyncio.wait_for(command.finish(), 10)
    assert command.failures == 1


@pytest.mark.parametrize(("code", "how"), [("sys.exit(3)", "exit status 3"), ("os.kill(os.getpid(), 9)", "signal 9")])
async def test_a_command_that_fails_is_one_sentence_and_counted(code, how):
    said: list[str] = []
    command = EventCommand(parse_command(script(f"import os, sys; {code}")), said.append)
    command.start()
    await give(command, 4)
    await command.finish()
    assert [how in sentence for sentence in said] == [True]
    assert command.summary().endswith(": 0 done, 3 failed.")


async def test_a_command_that_vanishes_meanwhile_is_counted(tmp_path):
    path = tmp_path / "command"
    path.write_text("#!/bin/sh\ncat >/dev/null\nrm -f $0\n")
    path.chmod(0o755)
    said: list[str] = []
    command = EventCommand(parse_command(str(path)), said.append)
    command.start()
    await give(command, 4)
    await command.finish()
    assert len(said) == 1
    assert "cannot be started: No such file or directory" in said[0]
    assert command.summary().endswith(": 1 done, 2 not started.")


@pytest.mark.parametrize("text", ["", "  ", "no-such-program x", "'open", "/etc/passwd"])
def test_a_command_that_is_not_there_is_an_error_before_anything_is_watched(text):
    with pytest.raises(SerError):
        parse_command(text)
    run("ser-watch", "--replay", str(TALK), "--fast", "--exec", text).assert_error("ser-watch", "--exec")


@pytest.mark.parametrize(("command", "code"), [("true", 0), ("false", 1), ("cat", 0)])
def test_the_exit_status_says_whether_the_command_failed(command, code):
    done = run("ser-watch", "--replay", str(TALK), "--fast", "--finals", "--events", "emotion", "--exec", command)
    assert done.code == code
    assert len(done.err.splitlines()) == (2 if code else 0)
    assert len(done.out.splitlines()) == (3 if command == "cat" else 0)


def test_ctrl_c_ends_the_command_too_and_counts_what_was_not_run(tmp_path):
    code = f"import time; open({str(tmp_path / 'started')!r}, 'w'); time.sleep(60)"
    arguments = ["--replay", str(TALK), "--fast", "--exec", script(code)]
    with subprocess.Popen(
        [*program("ser-watch"), *arguments], env=environment(), stderr=subprocess.PIPE, text=True
    ) as watch:
        wait_for((tmp_path / "started").exists)
        watch.send_signal(signal.SIGINT)
        _, stderr = watch.communicate(timeout=20)
    assert watch.returncode == 130
    assert "0 done, 1 interrupted, 26 not run" in stderr
    assert len(stderr.splitlines()) == 1
