"""The protocol as both clients use it: requests to bytes, received bytes to lines and events. Opens no socket."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ser_daemon.backoff import Backoff
from ser_daemon.wire.event_reading import ProtocolError, from_wire
from ser_daemon.wire.events import Event
from ser_model.errors import SerError

MAX_LINE = 64 * 1024
"""Longest line in bytes accepted from a daemon: twice what the protocol allows it."""

CHUNK = 64 * 1024
"""Bytes received at once."""

FIRST_DELAY, LONGEST_DELAY = 0.1, 5.0
"""Seconds between attempts to connect again; see `Backoff`."""

_REQUEST_ID = 1
"""A connection carries one request only, so one number is enough."""

_TEMPORARY = ("slow-consumer", "too-many-clients")


class NotRunning(SerError):  # noqa: N818 - named as the state that it reports
    """Nobody listens on any of the sockets, or the daemon went away."""


class NotAllowed(SerError):  # noqa: N818
    """The socket is there, but this user may not connect to it."""


class RequestFailed(SerError):  # noqa: N818
    """The daemon answered with an `error`; the text is its own."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        """`not-permitted`, `bad-request`, `slow-consumer`, … as `docs/protocol.md` lists them."""

    @property
    def temporary(self) -> bool:
        """Whether the same request may succeed a moment later."""
        return self.code in _TEMPORARY


class ClientSettings:
    """What both clients are made with."""

    def __init__(self, path: str | Path | None = None, *, timeout: float = 10.0) -> None:
        """Prepare; connects when used.

        Args:
            path: the daemon's socket; None: `$SER_SOCKET`, else the user's socket, else the system's.
            timeout: seconds to wait for the answer to a request.
        """
        self._path = None if path is None else Path(path)
        self._timeout = timeout

    def _timed_out(self, name: str) -> NotRunning:
        return NotRunning(f"The daemon did not answer {name!r} within {self._timeout:g} s.")


class Reconnect:
    """Decides whether a stream that was lost is connected again, and when."""

    def __init__(self, enabled: bool, on_lost: Callable[[SerError], None] | None) -> None:
        """Start without a failure.

        Args:
            enabled: False: every loss is an error.
            on_lost: called with the reason of every failed attempt and lost connection.
        """
        self._enabled = enabled
        self._on_lost = on_lost
        self._backoff = Backoff(FIRST_DELAY, LONGEST_DELAY)

    def received(self) -> None:
        """Start again from the shortest delay: the connection works."""
        self._backoff.reset()

    def delay_after(self, error: NotRunning | RequestFailed) -> float:
        """Return the seconds to wait before the next attempt.

        Raises:
            NotRunning, RequestFailed: the error itself, where there is no next attempt.
        """
        if not self._enabled or (isinstance(error, RequestFailed) and not error.temporary):
            raise error
        if self._on_lost is not None:
            self._on_lost(error)
        return self._backoff.failed(time.monotonic())


class LineBuffer:
    """Splits received bytes into lines."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the lines that are complete now, without their newline.

        Raises:
            ProtocolError: a line is too long.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE:
            raise ProtocolError(f"The other side sent a line longer than {MAX_LINE} bytes; is this ser-daemon?")
        yield from lines


class PendingRequest:
    """One request, from its bytes to its answer."""

    def __init__(self, name: str, data: dict[str, object]) -> None:
        self.line = encode_request(name, data)
        """What to send."""
        self._name = name
        self._buffer = LineBuffer()

    def feed(self, data: bytes) -> dict[str, Any] | None:
        """Take received bytes; return the data of the answer, or None while it is not complete.

        Raises:
            RequestFailed: the daemon refused.
            NotRunning: `data` is empty: the connection was closed.
            ProtocolError: a line isn't what the protocol promises.
        """
        if not data:
            raise NotRunning(f"The daemon closed the connection without an answer to {self._name!r}.")
        for line in self._buffer.feed(data):
            message = parse(line)
            if message.get("id") == _REQUEST_ID:
                answer: dict[str, Any] = message["data"]
                return answer
        return None


class EventStream:
    """The lines of one connection that a subscriber asked for."""

    def __init__(self, filter_: dict[str, object] | None) -> None:
        """Start a stream; `filter_` is the data of `subscribe`, None for all events."""
        self.line = b"" if filter_ is None else encode_request("subscribe", filter_)
        """What to send; may be empty."""
        self._buffer = LineBuffer()
        self._subscribed = filter_ is None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the lines that are complete now: `hello`, and the events sent once the filter was in force.

        Raises:
            RequestFailed: the daemon sent an `error`.
            NotRunning: `data` is empty: the connection was closed.
            ProtocolError: a line isn't what the protocol promises.
        """
        if not data:
            raise NotRunning("The daemon closed the connection.")
        for line in self._buffer.feed(data):
            name = parse(line)["type"]
            if name == "subscribed":
                self._subscribed = True
            elif self._subscribed or name == "hello":
                yield line


def parse(line: bytes) -> dict[str, Any]:
    """Parse a line into an object whose `type` is a string and whose `data` is an object.

    Raises:
        RequestFailed: it is an `error`.
        ProtocolError: the line isn't what the protocol promises.
    """
    try:
        message = json.loads(line)
        name, data = message["type"], message.get("data") or {}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise ProtocolError(f"Not a line of ser-daemon: {line[:60]!r}.") from None
    if not isinstance(name, str) or not isinstance(data, dict):
        raise ProtocolError(f"Not a line of ser-daemon: {line[:60]!r}.")
    if name == "error":
        raise RequestFailed(str(data.get("code")), str(data.get("text")))
    return {**message, "data": data}


def decode(line: bytes) -> Event | None:
    """Decode a line into an event; None for a type that this version doesn't know.

    Raises:
        ProtocolError: the line isn't what the protocol promises.
    """
    message = parse(line)
    return from_wire(message["type"], message["data"])


def encode_request(name: str, data: dict[str, object]) -> bytes:
    """Encode a request with the id that `PendingRequest` expects in the answer."""
    return json.dumps({"type": name, "id": _REQUEST_ID, "data": data}).encode() + b"\n"


def encode_filter(events: Sequence[str] | None, partial: bool, min_confidence: float) -> dict[str, object] | None:
    """Return the data of `subscribe`; None where everything is wanted, which needs no request."""
    if events is None and partial and not min_confidence:
        return None
    data: dict[str, object] = {"partial": partial, "min_confidence": min_confidence}
    return data if events is None else {"events": list(events), **data}
