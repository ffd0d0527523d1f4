"""What systemd passes in the environment: sockets, and where to send notifications."""

from __future__ import annotations

import os
import socket
from typing import Any

from hypothesis import strategies as st

from fuzz.files import folder
from fuzz.invariants import require
from fuzz.names import inherited
from fuzz.strategies import extremes, odd_texts, to_text
from fuzz.target import register
from ser_daemon.service.systemd import Notifier

FIRST = 3
"""First descriptor that systemd passes."""

counts = st.one_of(
    st.integers(-1, 4).map(str),
    st.sampled_from(["²", "１", "٣", "1 ", " 1", "+1", "1_0", "0x1", "1.0", "", "9" * 30, "9" * 5000]),
    odd_texts,
    extremes,
)
pids = st.one_of(st.just("own"), st.just("own"), st.just("own"), counts)
names = st.lists(st.one_of(st.sampled_from(["events", "control"]), odd_texts, st.just("unnamed")), max_size=4)
descriptors = st.lists(st.sampled_from(["listening", "stream", "datagram", "inet", "file", "closed"]), max_size=3)


def as_variable(text: Any) -> str:
    """A text that can be in an environment: bytes without NUL."""
    return os.fsdecode(to_text(text).encode("utf-8", "surrogatepass").replace(b"\0", b""))


@register("listen-fds", st.tuples(pids, counts, st.none() | names, descriptors), quick=200, isolated=True, seconds=3.0)
def check_listen_fds(example: tuple[Any, ...]) -> None:
    """Any values give the sockets that are there, or one sentence; no descriptor is lost."""
    pid, count, given, kinds = example
    environ = {"LISTEN_PID": str(os.getpid()) if pid == "own" else as_variable(pid), "LISTEN_FDS": as_variable(count)}
    if given is not None:
        environ["LISTEN_FDNAMES"] = as_variable(":".join(given))
    before = dict(environ)
    with folder() as path:
        for index, kind in enumerate(kinds):
            _open(FIRST + index, kind, f"{path}/{index}")
        listeners = {}
        try:
            listeners = inherited(environ)
            require(set(listeners) <= {"events", "control"}, "socket of another name", repr(listeners))
            require(not listeners or before["LISTEN_PID"] == str(os.getpid()), "sockets of another process")
            require(not environ, "variables left for child processes", repr(environ)[:200])
        finally:
            for listener in listeners.values():
                listener.sock.detach()
            for index in range(len(kinds)):
                try:
                    os.close(FIRST + index)
                except OSError:
                    continue


def _open(descriptor: int, kind: str, path: str) -> None:
    """Make a descriptor of a kind with this number."""
    if kind == "closed":
        return
    if kind == "file":
        found = os.open("/dev/null", os.O_RDONLY)
    else:
        family = socket.AF_INET if kind == "inet" else socket.AF_UNIX
        made = socket.socket(family, socket.SOCK_DGRAM if kind == "datagram" else socket.SOCK_STREAM)
        if kind == "listening":
            made.bind(path)
            made.listen()
        found = made.detach()
    os.dup2(found, descriptor)
    if found != descriptor:
        os.close(found)


addresses = st.one_of(
    st.just("socket"),
    st.sampled_from(
        ["", "@", "@x", "/", "/nonexistent/notify", "relative", "@" + "x" * 300, "/" + "x" * 300, "vsock:2:1"]
    ),
    odd_texts,
    extremes,
)


@register("notify", st.tuples(addresses, odd_texts | extremes, st.none() | counts), quick=200, seconds=2.0)
def check_notify(example: tuple[Any, ...]) -> None:
    """A notification is sent or dropped; a status is one line of one datagram, whatever its text."""
    address, text, watchdog = example
    with folder() as path, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"{path}/notify")
        manager.setblocking(False)
        environ = {"NOTIFY_SOCKET": f"{path}/notify" if address == "socket" else as_variable(address)}
        if watchdog is not None:
            environ["WATCHDOG_USEC"] = as_variable(watchdog)
        notifier = Notifier(environ)
        status = to_text(text)
        for call in (notifier.ready, notifier.status):
            call(status)
        notifier.watchdog()
        notifier.stopping()
        if address == "socket" and len(status) < 1000:
            sent = [manager.recv(1 << 20).split(b"\n") for _ in range(4)]
            counted = [
                len(sent[0]) == 1 + bool(status),
                len(sent[1]) == 1,
                sent[2:] == [[b"WATCHDOG=1"], [b"STOPPING=1"]],
            ]
            require(all(counted), "notification has other lines", repr(sent)[:300])
