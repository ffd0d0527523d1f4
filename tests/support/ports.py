"""Ports that stay free between two starts of a server."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket

FIRST, LAST = 20_000, 32_000
"""Below those that Linux gives to connections (ip(7), `ip_local_port_range`), which would take a free port again."""

_offsets = itertools.count(os.getpid() * 101)
"""Another start for each process, so that tests that run side by side look at other ports."""


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on, another one in each call."""
    while True:
        port = FIRST + next(_offsets) % (LAST - FIRST)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port
