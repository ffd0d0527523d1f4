"""What all bridges share: signals, exit status, missing libraries, the daemon over restarts."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ser_bridges import command
from ser_bridges.daemon import Daemon
from ser_daemon.client import CaptureState, Hello
from ser_model.errors import SerError

WAITING = """
import asyncio, sys
from ser_bridges import command

async def bridge(options):
    try:
        print("ready", flush=True)
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0.2)
        print("good-bye", flush=True)

sys.exit(command.run(command.make_parser("ser-test", "A test."), bridge))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_bridge_with_a_good_bye_and_status_0(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", WAITING], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        # A second one does not interrupt the good-bye.
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (out, err, process.returncode) == (b"good-bye\n", b"", 0)


def test_a_missing_library_names_its_extra() -> None:
    with pytest.raises(SerError, match=r"nolibrary is missing; .*'ser-daemon\[mqtt\]'"):
        command.require("nolibrary.client", "mqtt")
    assert command.require("json", "mqtt").dumps(1) == "1"


async def test_a_daemon_that_is_away_is_reported_once_and_found_again(tmp_path: Path) -> None:
    path = tmp_path / "ser.sock"
    hello = Hello(server="s", model="m", labels=[], state=CaptureState.LISTENING, speaking=False, muted=False)
    line = json.dumps({"type": "hello", "data": hello.data()}).encode() + b"\n"
    reasons: list[str] = []
    away = asyncio.Event()

    def lost(error: SerError) -> None:
        reasons.append(str(error))
        away.set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(line)
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.close()

    daemon = Daemon(path)
    events = daemon.follow(on_lost=lost)
    async with asyncio.timeout(20):
        first = asyncio.ensure_future(anext(events))
        await away.wait()
        await asyncio.sleep(0.5)
        assert len(reasons) == 1, "many attempts, one report"
        assert "No daemon is running" in reasons[0]
        async with await asyncio.start_unix_server(serve, path):
            assert isinstance(await first, Hello)
            assert daemon.connected
            assert isinstance(await anext(events), Hello)
    assert [reason for reason in reasons[1:] if "closed the connection" not in reason] == []
    await events.aclose()


SWALLOWING = """
import asyncio, sys
from ser_bridges import command

async def bridge(options):
    done = asyncio.Event()
    # Both happen in the same turn of the event loop: what is waited for, and the end by a signal.
    asyncio.get_running_loop().call_soon(done.set)
    asyncio.get_running_loop().call_soon(asyncio.current_task().cancel)
    try:
        await asyncio.wait_for(done.wait(), 10)
        print("swallowed", flush=True)
    finally:
        print("cancelled", asyncio.current_task().cancelling(), flush=True)
    command.check_cancelled()
    await asyncio.sleep(60)

async def main():
    task = asyncio.create_task(bridge(None))
    await asyncio.wait([task], timeout=5)
    print(task.cancelled())

asyncio.run(main())
"""


def test_a_cancellation_that_a_library_swallows_is_raised_at_the_next_check() -> None:
    done = subprocess.run([sys.executable, "-c", SWALLOWING], capture_output=True, text=True, timeout=30, check=True)
    # Python 3.11 swallows it, later ones do not.
    assert done.stdout.splitlines()[-2:] == ["cancelled 1", "True"]
