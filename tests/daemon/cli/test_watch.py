"""`ser-watch` as a process."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import shlex
import signal

import pytest

from ser_model.version import full_version

PIPES = {
    "stdin": asyncio.subprocess.DEVNULL,
    "stdout": asyncio.subprocess.PIPE,
    "stderr": asyncio.subprocess.PIPE,
}


async def line_of(stream: asyncio.StreamReader) -> str:
    return (await asyncio.wait_for(stream.readline(), 20)).decode().rstrip("\n")


async def test_json_prints_the_raw_lines_as_they_come(wire, command, started, emotion):
    process = await asyncio.create_subprocess_exec(*command("watch", "--json", "--socket", wire.path), **PIPES)
    assert json.loads(await line_of(process.stdout))["type"] == "hello"
    for event in (started, emotion()):
        wire.publisher.publish(event)
        line = json.loads(await line_of(process.stdout))
        assert (line["type"], line["data"]["utterance_id"]) == (event.type, "u-17")
    process.send_signal(signal.SIGINT)
    _, stderr = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, stderr) == (130, b"")


async def test_plain_prints_a_line_per_event_and_finals_leaves_out_the_rest(wire, command, emotion, stopped):
    arguments = command("watch", "--plain", "--finals", "--socket", wire.path)
    process = await asyncio.create_subprocess_exec(*arguments, **PIPES)
    assert "listening on USB Mic" in await line_of(process.stdout)
    for event in (emotion(), emotion(final=True), stopped):
        wire.publisher.publish(event)
    assert await line_of(process.stdout) == "185.341 s  u-17  angry 0.58 (final, 3.0 s)"
    assert await line_of(process.stdout) == "187.100 s  u-17  silence"
    process.send_signal(signal.SIGTERM)
    _, stderr = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, stderr) == (143, b"")


@pytest.mark.parametrize("form", ["--json", "--plain"])
async def test_it_exits_cleanly_when_its_reader_goes_away(wire, command, emotion, form):
    process = await asyncio.create_subprocess_exec(*command("watch", form, "--socket", wire.path), **PIPES)
    await line_of(process.stdout)
    process.stdout._transport.close()
    async with asyncio.timeout(20):
        while process.returncode is None:
            wire.publisher.publish(emotion())
            await asyncio.sleep(0.01)
        assert (process.returncode, await process.stderr.read()) == (0, b"")


@pytest.mark.parametrize("form", ["--json", "--plain"])
async def test_it_waits_for_a_daemon_reports_that_once_and_connects_again(new_wire, folder, command, started, form):
    process = await asyncio.create_subprocess_exec(*command("watch", form, "--socket", folder / "ser.sock"), **PIPES)
    message = await line_of(process.stderr)
    assert message.startswith(f"No daemon is running: nobody listens on {folder}/ser.sock.")
    assert message.endswith("Waiting for it.")
    for _ in range(2):
        wire = new_wire()
        await wire.start()
        assert f"ser-daemon {full_version()}" in await line_of(process.stdout)
        await wire.close()
        assert await line_of(process.stderr) == "The daemon closed the connection. Waiting for it."
    process.send_signal(signal.SIGINT)
    _, stderr = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, stderr) == (130, b"")


class Screen:
    """Reads what a program writes to a pseudo-terminal."""

    def __init__(self, master: int) -> None:
        self.master = master
        self.text = ""
        asyncio.get_running_loop().add_reader(master, self._read)

    def _read(self) -> None:
        try:
            self.text += os.read(self.master, 65536).decode(errors="replace")
        except OSError:
            asyncio.get_running_loop().remove_reader(self.master)


@pytest.mark.parametrize(("ending", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_in_a_terminal_it_shows_the_live_view_and_restores_the_terminal(wire, command, emotion, ending, code):
    wire.status.level_dbfs, wire.status.noise_floor_dbfs = -27.0, -60.0
    master, slave = pty.openpty()
    screen = Screen(master)
    process = await asyncio.create_subprocess_exec(
        *command("watch", "--socket", wire.path),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"},
    )
    os.close(slave)
    await wire.until(lambda: "listening on USB Mic" in screen.text)
    wire.publisher.publish(emotion(final=True))
    await wire.until(lambda: "-27 dBFS" in screen.text and re.search(r"u-17.*angry 0\.58", screen.text))
    process.send_signal(ending)
    assert await asyncio.wait_for(process.wait(), 20) == code
    await wire.until(lambda: "\x1b[?1049l" in screen.text and "\x1b[?25h" in screen.text)
    assert "Traceback" not in screen.text
    os.close(master)


async def test_help_shows_options_and_examples(command):
    process = await asyncio.create_subprocess_exec(*command("watch", "--help"), **PIPES)
    stdout, _ = await asyncio.wait_for(process.communicate(), 20)
    for word in ("--json", "--socket", "SER_SOCKET", "jq", "Ctrl-C"):
        assert word in stdout.decode()


async def test_no_final_of_a_live_stream_is_lost_to_a_slow_command(wire, command, emotion, folder):
    slow = shlex.join(["sh", "-c", f"sleep 0.01; cat >>{folder / 'got'}"])
    arguments = ["--socket", wire.path, "--exec", slow]
    process = await asyncio.create_subprocess_exec(*command("watch", *arguments), **PIPES)
    await wire.until(lambda: wire.publisher.metrics["subscribers"] == 1)
    # Twice as many as may wait: more than the command can take in the time.
    for number in range(600):
        wire.publisher.publish(emotion(final=number % 50 == 49, utterance_id=f"u-{number // 50}"))
        await asyncio.sleep(0)

    def finals() -> list[str]:
        lines = (folder / "got").read_text().splitlines() if (folder / "got").exists() else []
        return [line["data"]["utterance_id"] for line in map(json.loads, lines) if line["data"]["final"]]

    async with asyncio.timeout(60):
        while len(finals()) < 12:
            await asyncio.sleep(0.05)
    assert finals() == [f"u-{number}" for number in range(12)]
    process.send_signal(signal.SIGTERM)
    _, stderr = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 143
    assert re.fullmatch(rb"ser-watch: --exec \S+: \d+ done, .*\d+ partial results dropped\.\n", stderr)


async def test_a_live_stream_is_recorded_and_its_recording_is_the_same(wire, command, started, emotion, folder):
    arguments = ["--socket", wire.path, "--json", "--record", folder / "talk"]
    process = await asyncio.create_subprocess_exec(*command("watch", *arguments), **PIPES)
    printed = [await line_of(process.stdout)]
    for event in (started, emotion(), emotion(final=True)):
        wire.publisher.publish(event)
        printed.append(await line_of(process.stdout))
    process.send_signal(signal.SIGINT)
    await asyncio.wait_for(process.communicate(), 20)
    arguments = ["--replay", folder / "talk", "--json"]
    process = await asyncio.create_subprocess_exec(*command("watch", *arguments), **PIPES)
    stdout, stderr = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, stderr, stdout.decode().splitlines()) == (0, b"", printed)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--events", "hello"],
        ["--events", ""],
        ["--min-confidence", "2"],
        ["--min-confidence", "nan"],
        ["--format", "xml"],
        ["--json", "--plain"],
        ["--exec-timeout", "0"],
    ],
)
async def test_a_wrong_option_is_named(command, arguments):
    process = await asyncio.create_subprocess_exec(*command("watch", *arguments), **PIPES)
    stdout, stderr = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, stdout) == (2, b"")
    assert f"{arguments[0 if len(arguments) > 1 else -1]}".encode() in stderr.splitlines()[-1]
