"""A real daemon and clients that mean harm: descriptors, socket files, the log."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from support.daemon import Daemon, wait_for
from support.hostile import hostile_clients

STDIN = ("--mic", "stdin", "--rate", "16000", "--service")


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    with Daemon(*STDIN, feed=True) as running:
        running.controller()
        yield running


def descriptors(daemon: Daemon) -> int:
    return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))


@pytest.mark.timing
def test_out_of_descriptors_mute_still_works_and_one_warning_says_so(daemon: Daemon) -> None:
    begun = time.monotonic()
    # Not even those that are reserved are left: something else in the process has taken them.
    resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (descriptors(daemon) + 12, 4096))
    with hostile_clients(daemon.socket, 60, ("never",)):
        wait_for(lambda: "Too many open files" in daemon.stderr)
        for verb in ("mute", "unmute", "reload"):
            control = daemon.controller()
            assert control.request(verb)["type"] == "done"
        time.sleep(1.0)
    assert time.monotonic() - begun < 15
    assert "Traceback" not in daemon.stderr
    assert daemon.stderr.count("Too many open files") == 1
    assert len(daemon.stderr.splitlines()) < 30
    wait_for(lambda: daemon.controller().request("status")["data"]["state"] == "listening")


def test_with_few_descriptors_from_the_start_there_are_fewer_places_and_mute_works() -> None:
    program = ["prlimit", "--nofile=100", sys.executable, "-m", "ser_daemon.cli.daemon"]
    with Daemon(*STDIN, feed=True, program=program) as daemon:
        daemon.subscribe()
        with hostile_clients(daemon.socket, 150, ("never",)), hostile_clients(daemon.control, 50, ("never",)):
            assert daemon.controller().request("mute")["type"] == "done"
            assert daemon.subscribe().hello["type"] == "hello"
            metrics = daemon.controller().request("metrics")["data"]
            assert metrics["clients"] <= 36
        assert "leaves room for 27 clients, not 256" in daemon.stderr
        assert "Traceback" not in daemon.stderr


def test_256_idle_listeners_do_not_lock_out_the_next(daemon: Daemon) -> None:
    with hostile_clients(daemon.socket, 256, ("never",)), hostile_clients(daemon.control, 256, ("never",)):
        assert daemon.subscribe().request("status")["type"] == "status"
        assert daemon.controller().request("mute")["type"] == "done"


def test_deep_json_on_the_control_socket_locks_nobody_out_and_fills_no_log(daemon: Daemon) -> None:
    deep = "[" * 400 + "]" * 400
    line = f'{{"type":"hold","id":1,"data":{{"id":{deep},"ms":{deep}}}}}\n'.encode()
    for _ in range(300):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(daemon.control))
            client.settimeout(10)
            client.sendall(line)
            with client.makefile("rb") as answer:
                assert json.loads(answer.readline())["type"] == "hello"
                assert json.loads(answer.readline())["data"]["code"] == "bad-id"
    control = daemon.controller()
    wait_for(lambda: control.request("metrics")["data"]["clients"] == 2)
    assert len(daemon.stderr) < 2_000


def test_a_socket_file_deleted_under_a_running_daemon_is_made_again_and_no_second_daemon_starts(daemon: Daemon) -> None:
    control = daemon.controller()
    for path in (daemon.socket, daemon.control):
        path.unlink()
    begun = time.monotonic()
    wait_for(lambda: daemon.socket.exists() and daemon.control.exists())
    assert time.monotonic() - begun < 5
    assert daemon.subscribe().hello["type"] == "hello"
    assert daemon.controller().request("ping")["type"] == "pong"
    assert control.request("ping")["type"] == "pong"
    with Daemon(*STDIN, folder=daemon.folder) as second:
        assert second.wait() == 2
    assert f"held by process {daemon.process.pid}" in daemon.stderr
    assert daemon.stderr.count("it is there again") == 2


@pytest.mark.parametrize("count", ["²", "-1", "1e9", "999999999999"])
def test_nonsense_from_systemd_is_one_sentence(count: str) -> None:
    code = (
        "import os, sys; os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=sys.argv.pop(1));"
        "from ser_daemon.cli.daemon import main; sys.exit(main())"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, count, *STDIN],
        stdin=subprocess.PIPE,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 2
    assert "LISTEN_FDS" in result.stderr
    assert len(result.stderr.splitlines()) == 1
