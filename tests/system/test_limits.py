"""The limits of the units, in force under a real systemd and a real user's manager."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator

import pytest

from support.box import wait_until
from support.hostile_models import FILES, GRAPHS
from support.models import copy_shipped
from system.conftest import ROOT, Machine

MEMORY_MAX = 512 << 20

_GROW = """
import os, threading, time

def grow():
    path = os.path.join(os.environ["RUNTIME_DIRECTORY"], "grow")
    while not os.path.exists(path):
        time.sleep(0.05)
    os.unlink(path)
    held = []
    # Four times the limit: then the limit is not in force, and the machine is spared.
    while len(held) < 2048:
        held.append(b"x" * (1 << 20))

if "RUNTIME_DIRECTORY" in os.environ:
    threading.Thread(target=grow, daemon=True).start()
"""
"""Part of the service's process in the test below: it takes memory as a leak would, once, when a file appears."""


@pytest.fixture
def leak(service: Machine) -> Iterator[None]:
    """Let the service's process have a leak that a file starts."""
    [packages] = service.box.path("/opt/ser-daemon").glob("env-*/lib/python3*/site-packages")
    added = (packages / "grow.py", packages / "grow.pth")
    added[0].write_text(_GROW)
    added[1].write_text("import grow\n")
    service.box.run("systemctl", "restart", "ser-daemon.service")
    service.wait_for("no-device")
    yield
    for path in added:
        path.unlink()
    service.box.run("systemctl", "restart", "ser-daemon.service")


def memory_limit(machine: Machine) -> str:
    """Return what the kernel limits the service's memory to, as it writes it."""
    groups = machine.box.run("cat", f"/proc/{machine.pid()}/cgroup").stdout
    for pattern, file in ((r"^\d+:memory:(.*)$", "memory/{}/memory.limit_in_bytes"), (r"^0::(.*)$", "{}/memory.max")):
        if match := re.search(pattern, groups, re.MULTILINE):
            done = machine.box.run("cat", "/sys/fs/cgroup/" + file.format(match[1].lstrip("/")), check=False)
            if done.returncode == 0:
                return done.stdout.strip()
    pytest.skip("the kernel gives this box no control group for memory")


def memory_used(machine: Machine) -> int:
    """Return the bytes that the service's control group has now."""
    return int(machine.box.show("ser-daemon.service", "MemoryCurrent")["MemoryCurrent"])


def test_a_service_that_outgrows_its_memory_is_stopped_and_started_again(service: Machine, leak: None) -> None:
    assert memory_limit(service) == str(MEMORY_MAX)
    pid = service.pid()
    restarts = int(service.box.show("ser-daemon.service", "NRestarts")["NRestarts"])
    service.box.path("/run/private/ser-daemon-starts/grow").write_text("")
    seconds = wait_until(lambda: service.pid() not in (0, pid), 20, "another process")
    service.wait_for("no-device")
    print(f"started again {seconds:.1f} s after it began to grow")
    assert int(service.box.show("ser-daemon.service", "NRestarts")["NRestarts"]) == restarts + 1
    log = service.box.journal("ser-daemon.service")
    assert "Main process exited, code=killed, status=9/KILL" in log


def test_clients_that_never_read_take_little_memory(service: Machine) -> None:
    memory_limit(service)
    before = used = memory_used(service)
    clients = []
    try:
        for _ in range(250):
            client = socket.socket(socket.AF_UNIX)
            client.connect(str(service.socket))
            client.setblocking(False)
            clients.append(client)
        for _ in range(40):
            for client in clients:
                # Refused for the rate, or full: it is meant to be.
                with contextlib.suppress(OSError):
                    client.send(GREEDY)
            used = max(used, memory_used(service))
    finally:
        for client in clients:
            client.close()
    print(f"{used / 1e6:.0f} MB with 250 clients that never read, {before / 1e6:.0f} MB without")
    assert used - before < 40e6
    assert used < MEMORY_MAX / 2
    assert service.state() == "no-device"


def test_hostile_models_are_refused_within_the_limits(service: Machine) -> None:
    pytest.importorskip("onnx", reason="the train extra is not installed")
    pid = service.pid()
    cases = {"loop": GRAPHS["endless loop"], "zeros": GRAPHS["2 GiB of zeros"], "pipe": FILES["FIFO"]}
    for name, (change, words) in cases.items():
        folder = service.box.path(f"/etc/ser-daemon/{name}")
        folder.mkdir()
        pair = copy_shipped(folder)
        change(pair.window)
        service.settings(f"model: {{path: /etc/ser-daemon/{name}/{pair.window.name}}}\n")
        assert service.box.run("systemctl", "reload", "ser-daemon", check=False).returncode != 0
        assert words in service.box.journal("ser-daemon.service")
    print(f"{memory_used(service) / 1e6:.0f} MB after {len(cases)} hostile models")
    assert memory_used(service) < MEMORY_MAX / 2
    assert (service.pid(), service.state()) == (pid, "no-device")


def test_the_limits_are_those_of_the_unit(service: Machine) -> None:
    shown = service.box.show(
        "ser-daemon.service",
        *("MemoryMax", "MemorySwapMax", "TasksMax", "CPUQuotaPerSecUSec", "OOMPolicy", "LimitNOFILE", "LimitCORE"),
    )
    assert shown == {
        "MemoryMax": str(MEMORY_MAX),
        "MemorySwapMax": "0",
        "TasksMax": "64",
        "CPUQuotaPerSecUSec": "1s",
        "OOMPolicy": "stop",
        "LimitNOFILE": "9216",
        "LimitCORE": "0",
    }
    limits = service.box.run("cat", f"/proc/{service.pid()}/limits").stdout
    assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)
    assert re.search(r"^Max open files +9216 +9216 ", limits, re.MULTILINE)
    assert service.box.run("cat", f"/proc/{service.pid()}/oom_score_adj").stdout == "200\n"


def restrictions() -> list[str]:
    """Return what the user's unit sets, but for its commands and folders."""
    text = (ROOT / "systemd/user/ser-daemon.service").read_text()
    lines = re.findall(r"^\w+=.*$", text.partition("[Service]")[2].partition("[Install]")[0], re.MULTILINE)
    other = r"(Type|Sockets|Exec\w+|Restart\w*|WatchdogSec|TimeoutStopSec|Runtime\w+)="
    return [line for line in lines if not re.match(other, line)]


GREEDY = b'{"type":"status","id":"a","data":{"id":"%s"}}\n' % (b"x" * 30_000)
"""A request whose answer was once three times as long."""

PROBES = {
    "unshare --user true": "a namespace",
    "chrt --fifo 1 true": "a realtime priority",
    "nice -n 5 true; test $(nice -n 5 nice) = 5": "a priority",
    "python3 -c 'import socket; socket.socket()'": "a network socket",
    "python3 -c 'import mmap; mmap.mmap(-1, 4096, prot=7)'": "memory to write and execute",
    "setarch --addr-no-randomize true": "another personality",
    "cp /bin/true /tmp/probe; chmod u+s /tmp/probe": "a setuid file",
    "chown 1:1 /tmp/probe": "a change of owner",
}
"""Commands that succeed only if something is not restricted."""


def test_a_users_manager_enforces_what_the_users_unit_sets(machine: Machine) -> None:
    uid = machine.box.run("id", "-u", "desktop").stdout.strip()
    machine.box.run("systemctl", "start", f"user@{uid}")
    environ = ["env", f"XDG_RUNTIME_DIR=/run/user/{uid}"]

    def inside(script: str, *directives: str) -> tuple[int, str]:
        """Run a script as a unit with these directives."""
        options = [word for line in directives for word in ("--property", line)]
        command = [*environ, "systemd-run", "--user", "--quiet", "--wait", "--pipe", "--collect", *options]
        done = machine.box.run(*command, "/bin/sh", "-c", script, user="desktop", check=False)
        return done.returncode, done.stdout

    assert inside("true", *restrictions()) == (0, "")
    allowed = [what for probe, what in PROBES.items() if inside(probe, *restrictions())[0] == 0]
    assert allowed == []
    # Each probe can tell: some of them need no right at all, and succeed without the unit's directives.
    for probe in ("unshare --user true", "python3 -c 'import socket; socket.socket()'"):
        assert inside(probe)[0] == 0, probe
    script = (
        "ulimit -n; ulimit -c; umask; cat /proc/self/oom_score_adj; grep -E 'Seccomp:|NoNewPrivs' /proc/self/status"
    )
    assert inside(script, *restrictions())[1].split() == [
        "9216",
        "0",
        "0077",
        "200",
        "NoNewPrivs:",
        "1",
        "Seccomp:",
        "2",
    ]
