"""What both clients share: how a request is written, how a line is read, what went wrong."""

from __future__ import annotations

import errno
import grp
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ser_daemon.paths import MAX_PATH, SYSTEM_SOCKET, candidate_sockets, control_socket
from ser_daemon.wire.events import Event, ProtocolError, from_wire
from ser_daemon.wire.protocol import CONTROL_VERBS
from ser_model.errors import SerError

MAX_LINE = 64 * 1024
"""Longest line in bytes taken from a daemon: twice what the protocol allows it."""

FIRST_RETRY, LAST_RETRY = 0.1, 5.0
"""Seconds between attempts to connect: doubled each time."""

_PASSING = ("slow-consumer", "too-many-clients")


class NotRunning(SerError):  # noqa: N818 - reads as the state that it is
    """Nobody listens on any of the sockets, or the daemon went away."""


class NotAllowed(SerError):  # noqa: N818
    """The socket is there, but not for this user."""


class RequestFailed(SerError):  # noqa: N818
    """The daemon answered with an `error`; the text is its own."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        """`not-permitted`, `bad-request`, `slow-consumer`, … as `docs/protocol.md` lists them."""

    @property
    def passing(self) -> bool:
        """Whether the same may work a moment later."""
        return self.code in _PASSING


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

    def unanswered(self, name: str) -> NotRunning:
        """Make the error for a request that got no answer in time."""
        return NotRunning(f"The daemon did not answer {name!r} within {self._timeout:g} s.")


class LineBuffer:
    """Cuts what was received into lines."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the lines that are complete now, without their newline.

        Raises:
            ProtocolError: a line doesn't end.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE:
            raise ProtocolError(f"The other side sent a line longer than {MAX_LINE} bytes; is this ser-daemon?")
        yield from lines


class SubscribedGate:
    """Holds back what the stream sent before it took our filter into account."""

    def __init__(self, subscribing: bool) -> None:
        self._open = not subscribing

    def passes(self, line: bytes) -> bool:
        """Tell whether the line is for the program.

        Raises:
            RequestFailed: it is an `error`.
            ProtocolError: it isn't what the protocol promises.
        """
        name, data = message(line)
        if name == "error":
            raise RequestFailed(str(data.get("code")), str(data.get("text")))
        if name == "subscribed":
            self._open = True
            return False
        return self._open or name == "hello"


def message(line: bytes) -> tuple[str, dict[str, Any]]:
    """Take a line apart into its type and data.

    Raises:
        ProtocolError: the line isn't what the protocol promises.
    """
    try:
        value = json.loads(line)
        name, data = value["type"], value.get("data") or {}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise ProtocolError(f"Not a line of ser-daemon: {line[:60]!r}.") from None
    if not isinstance(name, str) or not isinstance(data, dict):
        raise ProtocolError(f"Not a line of ser-daemon: {line[:60]!r}.")
    return name, data


def decode(line: bytes) -> Event | None:
    """Turn a line into an event; None for a line of a kind that this version doesn't know.

    Raises:
        ProtocolError: the line isn't what the protocol promises.
    """
    return from_wire(*message(line))


def request_line(name: str, data: dict[str, object]) -> bytes:
    """Encode a request with the id that `answer` looks for."""
    return json.dumps({"type": name, "id": 1, "data": data}).encode() + b"\n"


def answer(line: bytes) -> dict[str, Any] | None:
    """Return the answer's data; None for a line that is not the answer.

    Raises:
        RequestFailed: the daemon refused.
    """
    name, data = message(line)
    if name == "error":
        raise RequestFailed(str(data.get("code")), str(data.get("text")))
    return data if json.loads(line).get("id") == 1 else None


def subscription(events: Sequence[str] | None, partial: bool, min_confidence: float) -> dict[str, object] | None:
    """Return the data of `subscribe`; None where everything is wanted, which needs no request."""
    if events is None and partial and not min_confidence:
        return None
    data: dict[str, object] = {"partial": partial, "min_confidence": min_confidence}
    return data if events is None else {"events": list(events), **data}


def socket_paths(path: Path | None, request: str | None = None) -> list[Path]:
    """Sockets to try, in this order: for a control verb the control socket beside each one that has one.

    Raises:
        SerError: no socket can have such a path.
    """
    paths = candidate_sockets(path)
    for candidate in paths:
        length = len(os.fsencode(candidate))
        if candidate.name in ("", ".."):
            raise SerError(f'"{candidate}" is no path of a socket; name the daemon\'s, or leave it out.')
        if length > MAX_PATH:
            raise SerError(f"The socket path {candidate} is {length} bytes long; Linux allows {MAX_PATH}.")
    if request not in CONTROL_VERBS:
        return paths
    beside = [control_socket(candidate) for candidate in paths]
    return [control if control.exists() else path for path, control in zip(paths, beside, strict=True)]


def _group(path: Path) -> str:
    """Name the group that may connect to a socket: the control socket has one of its own."""
    try:
        return grp.getgrgid(path.stat().st_gid).gr_name
    except (OSError, KeyError):
        return "ser"


def unreachable(problems: Sequence[tuple[Path, OSError]]) -> SerError:
    """Say why no socket could be connected to, and what to do."""
    for path, error in problems:
        if error.errno in (errno.EACCES, errno.EPERM):
            hint = "ask its owner"
            if path.parent == SYSTEM_SOCKET.parent:
                hint = f"join its group: sudo usermod -aG {_group(path)} $USER, then log in again"
            return NotAllowed(f"You may not connect to {path}; {hint}.")
    tried = " or ".join(str(path) for path, _ in problems)
    return NotRunning(
        f"No daemon is running: nobody listens on {tried}. Start one with `ser-daemon --mic default`, "
        "`systemctl --user start ser-daemon` or `sudo systemctl start ser-daemon`."
    )
