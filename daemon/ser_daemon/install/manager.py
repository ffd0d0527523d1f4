"""How the installer controls the service manager, and how it returns to the state before."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from ser_daemon.install.files import InstallError
from ser_daemon.install.layout import UNITS, Target

SETTLE_SECONDS = 3.0
"""Time limit for a service that is ready to report the state of its microphone."""


@dataclass(frozen=True, slots=True)
class State:
    """What the service manager does with the units before an installation."""

    links: frozenset[Path]
    """The links by which units start at boot or login."""
    running: tuple[str, ...]
    """Units that run, with instances of the templates."""


def require_manager(target: Target) -> None:
    """Check that there is a systemd, or that one can be prepared.

    Raises:
        InstallError: There is none.
    """
    if shutil.which("systemctl") is None:
        raise InstallError(
            f"There is no systemd on this machine: start {target.program}/bin/ser-daemon by other means."
        )
    if not target.managed:
        # As when an image is built: only links are made.
        os.environ["SYSTEMD_OFFLINE"] = "1"


def systemctl(target: Target, *words: str, log: str = "ser-daemon") -> str:
    """Run `systemctl` and return its output.

    Args:
        target: for its service manager.
        words: of the command line.
        log: the unit whose log an error names.

    Raises:
        InstallError: The command failed.
    """
    done = subprocess.run([*target.systemctl, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        hint = f"; see: journalctl {'--user ' if target.user else ''}-u {log}"
        raise InstallError(f"systemctl {' '.join(words)}: {done.stderr.strip()}{hint}")
    return done.stdout


def read_state(target: Target) -> State:
    """Return the state of the units.

    Raises:
        InstallError: The service manager does not answer.
    """
    running = _list_units(target, "--state=active,activating,reloading") if target.managed else []
    return State(frozenset(_links(target)), tuple(running))


def enable(target: Target) -> None:
    """Let the manager read the new units, and let them start at boot or login."""
    if target.managed:
        systemctl(target, "daemon-reload")
    systemctl(target, "--quiet", "enable", *UNITS)


def start(target: Target, before: State, *, changed_units: bool, changed_program: bool) -> None:
    """(Re)start what has changed.

    Raises:
        InstallError: A unit does not start.
    """
    services = [name for name in before.running if name.endswith(".service")]
    if changed_units and before.running:
        # A socket applies new settings only when it is opened again, and that needs its service to be stopped.
        systemctl(target, "stop", *before.running)
        systemctl(target, "start", *UNITS, *before.running)
    elif changed_program and services:
        systemctl(target, "restart", *services)
    systemctl(target, "start", *UNITS)


def withdraw(target: Target, before: State, *, started: bool) -> None:
    """Undo `enable` and `start`, while the new units are still in place."""
    if started:
        with contextlib.suppress(InstallError):
            systemctl(target, "stop", *UNITS, *before.running)
    for link in _links(target) - before.links:
        link.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            link.parent.rmdir()


def resume(target: Target, before: State) -> None:
    """Let the manager read the old units again, and start what ran.

    Raises:
        InstallError: The previous installation does not start.
    """
    if not target.managed:
        return
    systemctl(target, "daemon-reload")
    if before.running:
        systemctl(target, "start", *before.running)
    else:
        _forget_failures(target)


def stop(target: Target) -> None:
    """Stop, disable and remove the units, with instances of the template."""
    instances = {link.name for link in target.units.glob("*.wants/ser-daemon*@*")}
    names = sorted({*UNITS, *instances, *(_list_units(target, "--all") if target.managed else ())})
    running = _list_units(target, "--state=active,activating,reloading,deactivating") if target.managed else []
    if running:
        # Also units whose files somebody has removed while they ran.
        systemctl(target, "stop", *running)
    names = [name for name in names if (target.units / _unit_file(name)).exists()]
    if names and target.managed:
        systemctl(target, "--quiet", "disable", "--now", *names)
    elif names and shutil.which("systemctl"):
        os.environ["SYSTEMD_OFFLINE"] = "1"
        systemctl(target, "--quiet", "disable", *names)
    for path in target.units.glob("ser-daemon*"):
        if path.suffix in (".service", ".socket"):
            path.unlink()
    if target.managed:
        systemctl(target, "daemon-reload")
        _forget_failures(target)
    runtime = Path("/run") if target.user is None else Path(os.environ.get("XDG_RUNTIME_DIR", "/nonexistent"))
    for path in runtime.glob("ser-daemon*"):
        # systemd leaves the link to a removed RuntimeDirectory= behind.
        path.unlink() if path.is_symlink() else shutil.rmtree(path, ignore_errors=True)


def _forget_failures(target: Target) -> None:
    subprocess.run([*target.systemctl, "reset-failed", "ser-daemon*"], capture_output=True, check=False)


def _links(target: Target) -> set[Path]:
    return {link for unit in UNITS for link in target.units.glob(f"*.wants/{unit}")}


def _unit_file(unit: str) -> str:
    name, at, rest = unit.partition("@")
    return f"{name}@.{rest.rpartition('.')[2]}" if at else unit


def _list_units(target: Target, *which: str) -> list[str]:
    listing = systemctl(target, "list-units", "--plain", "--no-legend", *which, "ser-daemon*")
    names = [line.split()[0] for line in listing.splitlines() if line.strip()]
    return [name for name in names if name.endswith((".service", ".socket"))]


def show_state(target: Target) -> None:
    """Print the state of the service."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        try:
            status = systemctl(target, "show", "--property=StatusText", "--value", "ser-daemon.service").strip()
        except InstallError as error:
            # It is installed and started; only the report lacks a line.
            status = str(error)
            break
        if not status.startswith("Starting") or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    print(f"It runs. {status}")
    print(f"See also:            {' '.join(target.systemctl)} status ser-daemon; ser-watch; ser-daemon --check")
