"""Who may use the service: the token, and the names that a browser may reach it by."""

from __future__ import annotations

import hmac
import ipaddress
import os
import re
import secrets
import stat
from collections.abc import Collection
from pathlib import Path
from urllib.parse import urlsplit

from ser_model.errors import SerError

SHORTEST_TOKEN = 16
"""Characters. A generated one has 43, for 256 bits."""

LONGEST_FILE = 4096
"""Bytes of a token file."""

_TOKEN = re.compile(r"[A-Za-z0-9._~-]+")
"""Characters that need no encoding in a link (RFC 3986, unreserved) and may be in a subprotocol of a WebSocket."""


def make_token() -> str:
    """Return a new random token."""
    return secrets.token_urlsafe(32)


def read_token(path: Path) -> str:
    """Return the token in the first line of a file.

    Raises:
        SerError: the file is missing, is not a file, may be used by others, or holds no token.
    """
    try:
        # Not blocked by a pipe that nobody writes to.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise SerError(f"Cannot read the token file {path}: {error.strerror}; see docs/bridge-web.md.") from None
    try:
        _check_file(path, os.fstat(descriptor))
        text = os.read(descriptor, LONGEST_FILE).decode(errors="replace")
    finally:
        os.close(descriptor)
    token = text.partition("\n")[0].strip()
    if len(token) < SHORTEST_TOKEN or not _TOKEN.fullmatch(token):
        raise SerError(
            f"The first line of {path} is no token: expected {SHORTEST_TOKEN} or more letters, digits and . _ ~ -; "
            f"make one with: openssl rand -hex 32"
        )
    return token


def _check_file(path: Path, status: os.stat_result) -> None:
    """Raise `SerError` unless it is a file that only this user, root or a service manager can use."""
    if not stat.S_ISREG(status.st_mode):
        raise SerError(f"{path} is not a file; name the file with the token.")
    if status.st_uid not in (0, os.geteuid()):
        raise SerError(f"{path} belongs to another user, who may know the token; make a file of your own.")
    if status.st_mode & _too_open(path):
        raise SerError(f"{path} can be used by other users of this machine: chmod 600 {path}")


def _too_open(path: Path) -> int:
    """Return the permissions that a token file must not give.

    systemd lets the user of a service read a credential by an access control list, which shows as the group's bit.
    """
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    is_credential = credentials is not None and path.parent == Path(credentials)
    return stat.S_IRWXO | (stat.S_IWGRP if is_credential else stat.S_IRWXG)


def same_token(given: str, token: str) -> bool:
    """Compare in a time that does not depend on the first difference."""
    return hmac.compare_digest(given.encode(errors="surrogatepass"), token.encode())


def host_name(host: str) -> str | None:
    """Return the name or address in a `Host` header, in lower case and without brackets; None: it is no such header."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    return parts.hostname if parts.netloc == host and "@" not in host else None


def host_allowed(host: str, names: Collection[str]) -> bool:
    """Whether a request with this `Host` header may be meant for this service.

    DNS rebinding points a name of the attacker to this machine, so names must be known. An address cannot be rebound.

    Args:
        host: the header.
        names: names of this service besides `localhost`, in lower case.
    """
    name = host_name(host)
    return name is not None and (name == "localhost" or name in names or is_address(name))


def is_address(name: str) -> bool:
    """Whether a host is an IPv4 or IPv6 address and not a name."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def origin_allowed(origin: str, host: str) -> bool:
    """Whether a page of this origin may use the service: only its own page, also behind a proxy that adds TLS."""
    return origin.lower() in (f"http://{host}".lower(), f"https://{host}".lower())
