"""Where the installer puts files, and how it controls the service manager."""

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
"""Time limit for a service that is ready to report the state of its microphone."""

UNITS = ("ser-daemon.socket", "ser-daemon-control.socket", "ser-daemon.service")


class InstallError(Exception):
    """The installation cannot continue; the text says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Folders and files of an installation."""

    program: Path
    units: Path
    config: Path
    commands: Path
    state: Path
    """Folder of the state folders `ser-daemon` and `ser-daemon@NAME`."""
    sysusers: Path | None = None
    """File that declares the groups."""
    user: str | None = None
    """Owner of a user's service; `None` for the system's."""

    @property
    def systemctl(self) -> list[str]:
        """The `systemctl` command for this service manager."""
        return ["systemctl"] if self.user is None else ["systemctl", "--user"]

    @property
    def managed(self) -> bool:
        """Whether the service manager runs (sd_booted(3); a user's has a socket in the runtime folder)."""
        if shutil.which("systemctl") is None:
            return False
        if self.user is None:
            return Path("/run/systemd/system").is_dir()
        runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
        os.environ["XDG_RUNTIME_DIR"] = runtime
        return (Path(runtime) / "systemd/private").exists()


def system_target() -> Target:
    """Return the target of the system service.

    Raises:
        InstallError: The caller is not root.
    """
    if os.geteuid() != 0:
        raise InstallError(
            "This changes the whole machine and needs root: sudo make ..., or make install-user-service."
        )
    return Target(
        program=Path("/opt/ser-daemon"),
        units=Path("/etc/systemd/system"),
        config=Path("/etc/ser-daemon/config.yaml"),
        commands=Path("/usr/local/bin"),
        state=Path("/var/lib"),
        sysusers=Path("/etc/sysusers.d/ser-daemon.conf"),
    )


def user_target() -> Target:
    """Return the target of the calling user's service.

    Raises:
        InstallError: The caller is root through sudo.
    """
    if os.geteuid() == 0 and os.environ.get("SUDO_USER"):
        raise InstallError("This installs for one user: run it as that user, without sudo.")
    entry = pwd.getpwuid(os.getuid())
    home = Path(entry.pw_dir)
    return Target(
        program=home / ".local/share/ser-daemon",
        units=home / ".config/systemd/user",
        config=home / ".config/ser-daemon/config.yaml",
        commands=home / ".local/bin",
        state=home / ".local/state",
        user=entry.pw_name,
    )


def systemctl(target: Target, *words: str) -> str:
    """Run `systemctl` and return its output.

    Raises:
        InstallError: The command failed.
    """
    done = subprocess.run([*target.systemctl, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        hint = f"; see: journalctl {'--user ' if target.user else ''}-u ser-daemon"
        raise InstallError(f"systemctl {' '.join(words)}: {done.stderr.strip()}{hint}")
    return done.stdout


def start(target: Target, *, changed_units: bool, changed_program: bool) -> bool:
    """Enable the units and (re)start what has changed; return whether a service manager runs."""
    if shutil.which("systemctl") is None:
        raise InstallError("There is no systemd on this machine: start /opt/ser-daemon/bin/ser-daemon by other means.")
    if not target.managed:
        # As when an image is built: only links are made.
        os.environ["SYSTEMD_OFFLINE"] = "1"
        systemctl(target, "--quiet", "enable", *UNITS)
        return False
    systemctl(target, "daemon-reload")
    systemctl(target, "--quiet", "enable", *UNITS)
    running = _list_units(target, "--state=active,activating,reloading")
    services = [name for name in running if name.endswith(".service")]
    if changed_units and running:
        # A socket applies new settings only when it is opened again, and that needs its service to be stopped.
        systemctl(target, "stop", *running)
        systemctl(target, "start", *UNITS, *running)
    elif changed_program and services:
        systemctl(target, "restart", *services)
    systemctl(target, "start", *UNITS)
    return True


def stop(target: Target) -> None:
    """Stop, disable and remove the units, with instances of the template."""
    instances = {link.name for link in target.units.glob("*.wants/ser-daemon*@*")}
    names = sorted({*UNITS, *instances, *(_list_units(target, "--all") if target.managed else ())})
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
        subprocess.run([*target.systemctl, "reset-failed", "ser-daemon*"], capture_output=True, check=False)
    runtime = Path("/run") if target.user is None else Path(os.environ.get("XDG_RUNTIME_DIR", "/nonexistent"))
    for path in runtime.glob("ser-daemon*"):
        # systemd leaves the link to a removed RuntimeDirectory= behind.
        path.unlink() if path.is_symlink() else shutil.rmtree(path, ignore_errors=True)


def _unit_file(unit: str) -> str:
    name, at, rest = unit.partition("@")
    return f"{name}@.{rest.rpartition('.')[2]}" if at else unit


def _list_units(target: Target, *which: str) -> list[str]:
    listing = systemctl(target, "list-units", "--plain", "--no-legend", *which, "ser-daemon*")
    names = [line.split()[0] for line in listing.splitlines() if line.strip()]
    return [name for name in names if name.endswith((".service", ".socket"))]


def state_folders(target: Target) -> list[Path]:
    """Return the state folders. Those of the system are links (DynamicUser= in systemd.exec(5))."""
    roots = [target.state] if target.user else [target.state, target.state / "private"]
    found = [path for root in roots for path in sorted(root.glob("ser-daemon*"))]
    return [path for path in found if path.name.partition("@")[0] == "ser-daemon"]


def drop_ins(target: Target) -> list[Path]:
    """Return the folders of drop-ins for the units."""
    return sorted(target.units.glob("ser-daemon*.d"))


def show_state(target: Target) -> None:
    """Print the state of the service."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        status = systemctl(target, "show", "--property=StatusText", "--value", "ser-daemon.service").strip()
        if not status.startswith("Starting") or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    print(f"It runs. {status}")
    print(f"See also:            {' '.join(target.systemctl)} status ser-daemon; ser-watch; ser-daemon --check")


def lingering_advice(target: Target) -> str:
    """Return whether the service runs without a login, and how to change that."""
    if Path(f"/var/lib/systemd/linger/{target.user}").exists():
        return "It runs from boot on: lingering is on for you."
    word = f"loginctl enable-linger {target.user}"
    return f"It runs while you are logged in; from boot on, for a machine without a screen: {word}"
