"""Where the installer puts things, and how it speaks to the service manager."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

COMMANDS = ("ser-daemon", "ser-watch", "ser-ctl", "ser-calibrate")
GROUPS = ("ser", "ser-control")
SETTLE_SECONDS = 3.0
"""Time in which a service that is ready finds out what the microphone does."""

UNITS = ("ser-daemon.socket", "ser-daemon-control.socket", "ser-daemon.service")


class Refused(Exception):  # noqa: N818 - reads as the state that it is
    """The installation cannot go on; the text says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an installation lives."""

    program: Path
    units: Path
    config: Path
    commands: Path
    state: Path
    """Folder that holds `ser-daemon` and `ser-daemon@NAME`, which survive a restart."""
    sysusers: Path | None = None
    """File that makes the groups."""
    user: str | None = None
    """Whose service it is; None: the machine's."""

    @property
    def systemctl(self) -> list[str]:
        """The command for this manager."""
        return ["systemctl"] if self.user is None else ["systemctl", "--user"]

    @property
    def managed(self) -> bool:
        """Whether this manager runs (sd_booted(3); a user's listens in the runtime folder)."""
        if shutil.which("systemctl") is None:
            return False
        if self.user is None:
            return Path("/run/systemd/system").is_dir()
        runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
        os.environ["XDG_RUNTIME_DIR"] = runtime
        return (Path(runtime) / "systemd/private").exists()


def of_machine() -> Place:
    """Return the machine's place.

    Raises:
        Refused: we are not root
    """
    if os.geteuid() != 0:
        raise Refused("This changes the whole machine and needs root: sudo make ..., or make install-user-service.")
    return Place(
        program=Path("/opt/ser-daemon"),
        units=Path("/etc/systemd/system"),
        config=Path("/etc/ser-daemon/config.yaml"),
        commands=Path("/usr/local/bin"),
        state=Path("/var/lib"),
        sysusers=Path("/etc/sysusers.d/ser-daemon.conf"),
    )


def of_user() -> Place:
    """Return the calling user's place.

    Raises:
        Refused: we are root by way of sudo
    """
    if os.geteuid() == 0 and os.environ.get("SUDO_USER"):
        raise Refused("This installs for one user: run it as that user, without sudo.")
    entry = pwd.getpwuid(os.getuid())
    home = Path(entry.pw_dir)
    return Place(
        program=home / ".local/share/ser-daemon",
        units=home / ".config/systemd/user",
        config=home / ".config/ser-daemon/config.yaml",
        commands=home / ".local/bin",
        state=home / ".local/state",
        user=entry.pw_name,
    )


def systemctl(place: Place, *words: str) -> str:
    """Ask the manager; return what it prints.

    Raises:
        Refused: it failed
    """
    done = subprocess.run([*place.systemctl, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        hint = f"; see: journalctl {'--user ' if place.user else ''}-u ser-daemon"
        raise Refused(f"systemctl {' '.join(words)}: {done.stderr.strip()}{hint}")
    return done.stdout


def start(place: Place, *, changed_units: bool, changed_program: bool) -> bool:
    """Enable and (re)start what has changed; False where no manager runs."""
    if shutil.which("systemctl") is None:
        raise Refused("There is no systemd on this machine: start /opt/ser-daemon/bin/ser-daemon by other means.")
    if not place.managed:
        # As in the making of an image: links alone.
        os.environ["SYSTEMD_OFFLINE"] = "1"
        systemctl(place, "--quiet", "enable", *UNITS)
        return False
    systemctl(place, "daemon-reload")
    systemctl(place, "--quiet", "enable", *UNITS)
    running = _units(place, "--state=active,activating,reloading")
    services = [name for name in running if name.endswith(".service")]
    if changed_units and running:
        # A socket takes new settings only while it is closed, and it can't be closed under its service.
        systemctl(place, "stop", *running)
        systemctl(place, "start", *UNITS, *running)
    elif changed_program and services:
        systemctl(place, "restart", *services)
    systemctl(place, "start", *UNITS)
    return True


def stop(place: Place) -> None:
    """Stop, disable and remove the units, instances of the template included."""
    instances = {link.name for link in place.units.glob("*.wants/ser-daemon*@*")}
    names = sorted({*UNITS, *instances, *(_units(place, "--all") if place.managed else ())})
    names = [name for name in names if (place.units / _file_of(name)).exists()]
    if names and place.managed:
        systemctl(place, "--quiet", "disable", "--now", *names)
    elif names and shutil.which("systemctl"):
        os.environ["SYSTEMD_OFFLINE"] = "1"
        systemctl(place, "--quiet", "disable", *names)
    for path in place.units.glob("ser-daemon*"):
        if path.suffix in (".service", ".socket"):
            path.unlink()
    if place.managed:
        systemctl(place, "daemon-reload")
        subprocess.run([*place.systemctl, "reset-failed", "ser-daemon*"], capture_output=True, check=False)
    runtime = Path("/run") if place.user is None else Path(os.environ.get("XDG_RUNTIME_DIR", "/nonexistent"))
    for path in runtime.glob("ser-daemon*"):
        # systemd leaves the link to a removed RuntimeDirectory= behind.
        path.unlink() if path.is_symlink() else shutil.rmtree(path, ignore_errors=True)


def _file_of(unit: str) -> str:
    name, at, rest = unit.partition("@")
    return f"{name}@.{rest.rpartition('.')[2]}" if at else unit


def _units(place: Place, *which: str) -> list[str]:
    listing = systemctl(place, "list-units", "--plain", "--no-legend", *which, "ser-daemon*")
    names = [line.split()[0] for line in listing.splitlines() if line.strip()]
    return [name for name in names if name.endswith((".service", ".socket"))]


def state_folders(place: Place) -> list[Path]:
    """Return what survives a restart; the machine's lies behind a link (DynamicUser= in systemd.exec(5))."""
    roots = [place.state] if place.user else [place.state, place.state / "private"]
    found = [path for root in roots for path in sorted(root.glob("ser-daemon*"))]
    return [path for path in found if path.name.partition("@")[0] == "ser-daemon"]


def drop_ins(place: Place) -> list[Path]:
    """Return the folders with which somebody adjusted the units."""
    return sorted(place.units.glob("ser-daemon*.d"))


def show_state(place: Place) -> None:
    """Print what the service does now."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        status = systemctl(place, "show", "--property=StatusText", "--value", "ser-daemon.service").strip()
        if not status.startswith("Starting") or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    print(f"It runs. {status}")
    print(f"See also:            {' '.join(place.systemctl)} status ser-daemon; ser-watch; ser-daemon --check")


def lingering(place: Place) -> str:
    """Say whether the service lives on without a login."""
    if Path(f"/var/lib/systemd/linger/{place.user}").exists():
        return "It runs from boot on: lingering is on for you."
    word = f"loginctl enable-linger {place.user}"
    return f"It runs while you are logged in; from boot on, for a machine without a screen: {word}"
