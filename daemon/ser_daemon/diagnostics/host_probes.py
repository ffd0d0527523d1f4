"""Probes of the host: why the microphone or the service may not work, and what to type."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from ser_daemon.paths import SYSTEM_SOCKET, control_socket
from ser_daemon.sources.busy_devices import find_busy_devices

_SERVERS = {"PipeWire": "pipewire-0", "PulseAudio": "pulse/native"}
"""Sound servers, and their sockets in a user's runtime folder."""

_SYSTEM_UNITS = ("/etc/systemd/system/ser-daemon.service", "/lib/systemd/system/ser-daemon.service")
"""The unit of `ser-ctl install-service`, and that of the Debian package."""

_MIXER_SECONDS = 3.0


class Grade(StrEnum):
    """How serious a finding is."""

    OK = "ok"
    HINT = "hint"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    grade: Grade
    subject: str
    """What was checked, such as `audio`."""
    text: str


def _can_access(path: Path) -> bool:
    return os.access(path, os.R_OK | os.W_OK)


@dataclass(frozen=True, slots=True)
class Machine:
    """The host as the current user sees it; tests use another root, user and permissions."""

    environ: Mapping[str, str]
    root: Path = Path("/")
    """Folder that all absolute paths start from."""
    uid: int = field(default_factory=os.getuid)
    can_access: Callable[[Path], bool] = _can_access
    """Whether the user may read and write a file."""

    def path(self, absolute: str | Path) -> Path:
        """Return an absolute path below the root."""
        return self.root / str(absolute).lstrip("/")

    @property
    def user(self) -> str:
        """Name of the current user, or the number if it has none."""
        with contextlib.suppress(KeyError):
            return pwd.getpwuid(self.uid).pw_name
        return str(self.uid)

    def servers(self) -> dict[int, str]:
        """Running sound servers, by the user id of their session."""
        found: dict[int, str] = {}
        for folder in sorted(self.path("/run/user").glob("[0-9]*")):
            for name, socket in _SERVERS.items():
                with contextlib.suppress(OSError):
                    if folder.name.isdecimal() and (folder / socket).exists():
                        found.setdefault(int(folder.name), name)
        return found


def find_capture_problems(machine: Machine) -> Iterator[Finding]:
    """Yield the visible reasons why no microphone can be opened."""
    forbidden = [path for path in sorted(machine.path("/dev/snd").glob("pcm*c")) if not machine.can_access(path)]
    if forbidden:
        advice = _join_advice(_group(forbidden[0], "audio"), machine)
        yield Finding(Grade.FAIL, "audio", f"you may not open {forbidden[0]}; {advice}")
    for held in find_busy_devices(machine.path("/proc")):
        who = f"{held.program} (process {held.pid})"
        text = f"{held.name} is held by {who}: end that program, or choose a device of the sound server"
        yield Finding(Grade.FAIL, "audio", text)
    servers = machine.servers()
    if machine.uid in servers:
        runtime = f"/run/user/{machine.uid}"
        if machine.environ.get("XDG_RUNTIME_DIR") != runtime:
            text = f"{servers[machine.uid]} runs, but cannot be found: export XDG_RUNTIME_DIR={runtime}"
            yield Finding(Grade.FAIL, "audio", text)
    else:
        for uid, name in servers.items():
            text = f"{name} has the microphone, in the session of {_user_name(uid)} only: "
            text += "run this and the service as that user (ser-ctl install-service --user)"
            yield Finding(Grade.FAIL, "audio", text)


def mute_advice(machine: Machine) -> str:
    """Return advice for a microphone that gives only zeros."""
    if _prints(machine, "Mute: yes", "pactl", "get-source-mute", "@DEFAULT_SOURCE@"):
        return "it is muted in the sound server: pactl set-source-mute @DEFAULT_SOURCE@ 0"
    if _prints(machine, "[off]", "amixer", "sget", "Capture"):
        return "it is muted in the mixer: amixer sset Capture cap"
    return "is the microphone muted in the mixer, or by a switch? (alsamixer -V capture, or pavucontrol)"


def check_service(machine: Machine) -> Iterator[Finding]:
    """Yield findings about the installed service, and about which unit suits this user."""
    yield from _check_interpreter(machine)
    yield from _check_system_sockets(machine)
    yield _recommend_unit(machine)
    yield from _check_lingering(machine)


def _check_interpreter(machine: Machine) -> Iterator[Finding]:
    version = sys.version_info[:2]
    if not (3, 11) <= version <= (3, 13):
        text = f"this is Python {version[0]}.{version[1]}; ser-daemon is made for 3.11 to 3.13"
        yield Finding(Grade.WARN, "python", text)
    if not _has_system_unit(machine):
        return
    python = machine.path("/opt/ser-daemon/bin/python")
    real = python.resolve()
    if not python.exists():
        yield Finding(Grade.FAIL, "python", f"the service's {python} is missing: sudo ser-ctl install-service")
    elif real.is_relative_to(machine.path("/home")) or real.is_relative_to(machine.path("/root")):
        text = f"the service runs {real}, and it cannot see home folders: sudo ser-ctl install-service"
        yield Finding(Grade.FAIL, "python", text)
    else:
        yield Finding(Grade.OK, "python", f"the service runs {real}")


def _check_system_sockets(machine: Machine) -> Iterator[Finding]:
    events, control = machine.path(SYSTEM_SOCKET), machine.path(control_socket(SYSTEM_SOCKET))
    if not events.exists():
        return
    if not machine.can_access(events):
        text = f"you may not listen to the machine's service; {_join_advice(_group(events, 'ser'), machine)}"
        yield Finding(Grade.WARN, "socket", text)
    elif not machine.can_access(control):
        advice = _join_advice(_group(control, "ser-control"), machine)
        text = f"you may listen to the machine's service but not mute it; if you are to, {advice}"
        yield Finding(Grade.OK, "socket", text)
    else:
        yield Finding(Grade.OK, "socket", f"the machine's service can be reached on {events}")


def _recommend_unit(machine: Machine) -> Finding:
    runtime = Path(machine.environ.get("XDG_RUNTIME_DIR", "/nonexistent"))
    running = next((name for name, socket in _SERVERS.items() if (runtime / socket).exists()), None)
    if _user_link(machine).is_symlink():
        text = "the user's unit is installed, which starts when you log in"
    elif _has_system_unit(machine):
        text = "the system's unit is installed, which goes to ALSA"
        text += f"; to hear through this user's {running}: ser-ctl install-service --user" if running else ""
    elif running:
        text = f"{running} runs for this user: as a service use the user's unit (systemctl --user)"
    else:
        text = "no sound server runs for this user: as a service use the system's unit, which goes to ALSA"
    return Finding(Grade.OK, "service", text)


def _check_lingering(machine: Machine) -> Iterator[Finding]:
    if not _user_link(machine).is_symlink() or machine.path(f"/var/lib/systemd/linger/{machine.user}").exists():
        return
    text = f"your service runs while you are logged in; from boot on: loginctl enable-linger {machine.user}"
    has_display = bool(machine.environ.get("DISPLAY") or machine.environ.get("WAYLAND_DISPLAY"))
    yield Finding(Grade.OK if has_display else Grade.WARN, "service", text)


def _has_system_unit(machine: Machine) -> bool:
    return any(machine.path(unit).exists() for unit in _SYSTEM_UNITS)


def _user_link(machine: Machine) -> Path:
    """Return the link that systemd makes when the user's unit is enabled."""
    home = Path(machine.environ.get("HOME", "/nonexistent"))
    return home / ".config/systemd/user/default.target.wants/ser-daemon.service"


def _prints(machine: Machine, words: str, *command: str) -> bool:
    """Whether a command succeeds and prints these words."""
    if shutil.which(command[0], path=machine.environ.get("PATH")) is None:
        return False
    environ = {**machine.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=_MIXER_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and words in done.stdout


def _join_advice(group: str, machine: Machine) -> str:
    return f"join the group {group}: sudo usermod -aG {group} {machine.user}, then log in again"


def _group(path: Path, usual: str) -> str:
    """Return the name of a file's group, or the usual one if it cannot be used."""
    try:
        name = grp.getgrgid(path.stat().st_gid).gr_name
    except (OSError, KeyError):
        return usual
    # Nobody should join root's group.
    return usual if name == "root" else name


def _user_name(uid: int) -> str:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return f"user {uid}"
