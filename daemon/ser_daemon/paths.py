"""Default paths of sockets, config files and state."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from pathlib import Path

SYSTEM_SOCKET = Path("/run/ser-daemon/ser.sock")
"""Event socket of the system service, made by its `.socket` unit."""

SYSTEM_CONFIG = Path("/etc/ser-daemon/config.yaml")

SOCKET_NAME = "ser.sock"

MAX_PATH = 107
"""Longest socket path in bytes: `sun_path` has 108 with its terminating zero (unix(7))."""


def runtime_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the user's sockets: `$XDG_RUNTIME_DIR/ser-daemon`, else `~/.cache/ser-daemon`.

    Source: XDG Base Directory Specification 0.8, which leaves the fallback to the program.
    """
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime):
        return Path(runtime) / "ser-daemon"
    return _home(environ) / ".cache" / "ser-daemon"


def user_socket(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the event socket of a daemon that a user starts."""
    return runtime_directory(environ) / SOCKET_NAME


def lock_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder, for this user alone, that a daemon locks while it makes sockets in a folder for several."""
    return runtime_directory(environ) / "lock"


def control_socket(path: Path) -> Path:
    """Return the control socket of an event socket: `ser-control.sock` beside `ser.sock`."""
    return path.with_name(f"{path.stem}-control{path.suffix}")


def candidate_sockets(explicit: Path | None = None, environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Return the sockets that a client tries, in order.

    This is only `explicit` if given, else only `$SER_SOCKET` if set, else the user's and then the system's.
    """
    if explicit is not None:
        return [explicit]
    if environ.get("SER_SOCKET"):
        return [Path(environ["SER_SOCKET"])]
    # Both are the same where XDG_RUNTIME_DIR is /run, as in the container.
    return list(dict.fromkeys([user_socket(environ), SYSTEM_SOCKET]))


def config_files(environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Return the config files that may exist, the strongest first."""
    base = environ.get("XDG_CONFIG_HOME", "")
    folder = Path(base) if os.path.isabs(base) else _home(environ) / ".config"
    return [folder / "ser-daemon" / "config.yaml", SYSTEM_CONFIG]


def state_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of what survives a restart: systemd's `$STATE_DIRECTORY`, else the user's (XDG)."""
    # systemd separates several folders by colons; the first is used (systemd.exec(5)).
    given = environ.get("STATE_DIRECTORY", "").split(":")[0]
    if os.path.isabs(given):
        return Path(given)
    base = environ.get("XDG_STATE_HOME", "")
    folder = Path(base) if os.path.isabs(base) else _home(environ) / ".local" / "state"
    return folder / "ser-daemon"


def _home(environ: Mapping[str, str]) -> Path:
    home = environ.get("HOME", "")
    if os.path.isabs(home):
        return Path(home)
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        # Debian's home of users without one: no file is found there, and creating a folder fails with that name.
        return Path("/nonexistent")
