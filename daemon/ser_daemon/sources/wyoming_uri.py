"""Addresses of Wyoming services: `tcp://HOST:PORT` and `unix://PATH`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from ser_daemon.paths import MAX_PATH
from ser_model.errors import SerError


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A port of a host."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A socket in the file system."""

    path: str


WyomingAddress = TcpAddress | UnixAddress


def parse_uri(uri: str) -> WyomingAddress:
    """Parse an address.

    Raises:
        SerError: it is none.
    """
    try:
        parts = urlsplit(uri)
        if parts.scheme == "tcp" and parts.hostname and parts.port and not parts.path.strip("/"):
            return TcpAddress(parts.hostname, parts.port)
        if parts.scheme == "unix" and not parts.netloc and parts.path.startswith("/"):
            return _unix(parts.path)
    except ValueError:
        # A port that is no number, or brackets that are no address.
        pass
    raise SerError(f'"{uri}" is no address of a Wyoming service; expected tcp://HOST:PORT or unix:///PATH.')


def _unix(path: str) -> UnixAddress:
    length = len(os.fsencode(path))
    if length > MAX_PATH:
        raise SerError(f"The socket path {path} is {length} bytes long; Linux allows {MAX_PATH}.")
    return UnixAddress(path)
