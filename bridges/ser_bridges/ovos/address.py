"""Where the message bus is."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from ser_model.errors import SerError


class BusAddress(NamedTuple):
    """A message bus. `None`: as Open Voice OS's own settings say."""

    host: str | None = None
    port: int | None = None
    route: str | None = None
    ssl: bool | None = None


def parse_url(url: str) -> BusAddress:
    """Return the address in a URL.

    Raises:
        SerError: it is none.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise SerError(f"The address of the message bus is {url!r}; expected ws://HOST:PORT/ROUTE.")
    return BusAddress(
        parts.hostname, port or 8181, parts.path if parts.path.strip("/") else "/core", parts.scheme == "wss"
    )
