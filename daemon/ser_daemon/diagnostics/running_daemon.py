"""Find out whether a daemon runs already, and what it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ser_daemon import paths
from ser_daemon.client import CaptureState, Client
from ser_daemon.views.text import describe_state
from ser_model.errors import SerError

_ANSWER_SECONDS = 2.0
"""A daemon answers within milliseconds. One that hangs must not hold up the check."""


@dataclass(frozen=True, slots=True)
class RunningDaemon:
    """A daemon that answers."""

    socket: Path
    """Its event socket."""
    state: str
    """A `CaptureState`."""
    device: str
    """Name of its device, file or pipe; empty if it has none."""

    @property
    def has_device(self) -> bool:
        """Whether its device is open, so that another program may find it busy."""
        return self.state in (CaptureState.LISTENING, CaptureState.SILENT, CaptureState.HELD, CaptureState.DEGRADED)

    @property
    def text(self) -> str:
        """Its state in words."""
        return describe_state(self.state, self.device or None)


def find_daemon(socket: Path | None, environ: Mapping[str, str]) -> RunningDaemon | None:
    """Return the daemon that answers on a socket, or `None`.

    Args:
        socket: The event socket of the configuration. `None` tries the user's and then the system's.
        environ: Environment variables.
    """
    for path in [socket] if socket is not None else [paths.user_socket(environ), paths.SYSTEM_SOCKET]:
        try:
            answer = Client(path, timeout=_ANSWER_SECONDS).request("status")
        except SerError:
            continue
        return RunningDaemon(path, str(answer.get("state")), str(answer.get("device") or ""))
    return None
