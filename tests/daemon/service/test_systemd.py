"""Notifications to systemd, as sd_notify(3) describes them."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ser_daemon.service.systemd import Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "notify"))
        server.settimeout(5)
        yield server


def test_every_message_arrives_as_one_datagram(manager: socket.socket) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname()})
    notifier.ready("listening")
    assert manager.recv(4096) == b"READY=1\nSTATUS=listening"
    notifier.status("no\nmicrophone")
    assert manager.recv(4096) == b"STATUS=no microphone"
    notifier.watchdog()
    assert manager.recv(4096) == b"WATCHDOG=1"
    notifier.reloading()
    first, second = manager.recv(4096).split(b"\n")
    assert first == b"RELOADING=1"
    assert second.startswith(b"MONOTONIC_USEC=")
    assert int(second.partition(b"=")[2]) > 0
    notifier.stopping()
    assert manager.recv(4096) == b"STOPPING=1"


def test_a_device_whose_name_is_no_utf8_can_be_in_the_status(manager: socket.socket) -> None:
    Notifier({"NOTIFY_SOCKET": manager.getsockname()}).status("listening on Mic \udcff")
    assert manager.recv(4096) == rb"STATUS=listening on Mic \udcff"


def test_the_abstract_namespace_is_written_with_an_at_sign() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(f"\0ser-notify-{os.getpid()}")
        server.settimeout(5)
        Notifier({"NOTIFY_SOCKET": f"@ser-notify-{os.getpid()}"}).ready()
        assert server.recv(4096) == b"READY=1"


def test_without_a_manager_nothing_happens(tmp_path: Path) -> None:
    for environ in ({}, {"NOTIFY_SOCKET": str(tmp_path / "gone")}):
        notifier = Notifier(environ)
        notifier.ready()
        notifier.stopping()


def test_a_manager_that_does_not_read_is_not_waited_for(manager: socket.socket) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname()})
    # Far more than a datagram socket queues; a blocking send would hang here for good.
    for _ in range(5000):
        notifier.watchdog()
    assert manager.recv(4096) == b"WATCHDOG=1"
