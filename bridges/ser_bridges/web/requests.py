"""What a client of the WebSocket may ask, and where it goes."""

from __future__ import annotations

import json
from dataclasses import dataclass

MAX_MESSAGE = 32 * 1024
"""Bytes of a message, as the daemon's longest line."""

QUERIES = frozenset({"subscribe", "status", "metrics", "describe", "ping"})
"""Requests that change nothing; the event socket answers them."""

COMMANDS = frozenset({"mute", "unmute", "hold", "release"})
"""Control verbs that are passed on. The others change what the daemon has learned, or read it."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request that may be passed on."""

    name: str
    data: dict[str, object]
    id: object
    line: bytes
    """The line for the daemon, made anew: no framing of Wyoming and no second line gets through."""


class BadRequest(Exception):  # noqa: N818
    """A message that is answered with an error."""

    def __init__(self, code: str, text: str, id_: object = None) -> None:
        super().__init__(text)
        self.line = encode("error", {"code": code, "text": text}, id_)
        """The answer."""


def encode(name: str, data: dict[str, object], id_: object = None) -> bytes:
    """Return a line without its newline; an id of None is left out."""
    message = {"type": name, "data": data} if id_ is None else {"type": name, "id": id_, "data": data}
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def read_request(text: str, *, read_only: bool) -> Request:
    """Read a message of a client.

    Args:
        text: a message of the WebSocket.
        read_only: whether control verbs are refused.

    Raises:
        BadRequest: it is no request, or none that is passed on.
    """
    try:
        message = json.loads(text)
        name, id_ = message["type"], message.get("id")
        data = message.get("data") or {}
        # Brackets may be so deep that they can be read and not written.
        line = encode(name, data, id_)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise BadRequest("bad-line", 'Expected one JSON object with a type, such as {"type":"status"}.') from None
    if not isinstance(name, str) or not isinstance(data, dict):
        raise BadRequest("bad-line", "Expected a type that is a text, and data that is an object.")
    # bool is an int in Python; the daemon refuses it as well.
    if id_ is not None and (isinstance(id_, bool) or not isinstance(id_, int | str) or len(str(id_)) > 128):
        raise BadRequest("bad-id", "Expected an id that is a whole number, or a text of up to 128 characters.")
    if name in COMMANDS:
        if read_only:
            raise BadRequest("not-permitted", f"This ser-web was started with --read-only, so it refuses {name}.", id_)
        return Request(name, _read_hold(data, id_), id_, line)
    if name not in QUERIES:
        known = ", ".join(sorted(QUERIES | COMMANDS))
        raise BadRequest("not-permitted", f"ser-web passes on only these requests: {known}.", id_)
    return Request(name, data, id_, line)


def _read_hold(data: dict[str, object], id_: object) -> dict[str, object]:
    """Return what a control verb takes: `ms`, of `hold` alone."""
    ms = data.get("ms")
    if ms is None:
        return {}
    if isinstance(ms, bool) or not isinstance(ms, int):
        raise BadRequest("bad-request", "ms is to be a whole number of milliseconds.", id_)
    return {"ms": ms}
