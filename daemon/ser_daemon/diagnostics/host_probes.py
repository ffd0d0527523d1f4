"""What stands between the daemon and its microphone or its clients, found in the machine's own files."""

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
from pathlib import Path

from ser_daemon.paths import SYSTEM_SOCKET, control_socket
from ser_daemon.sources.alsa_holders import held_devices

_SERVERS = {"PipeWire": "pipewire-0", "PulseAudio": "pulse/native"}
"""Sound servers by their sockets in a user's runtime folder."""

_MIXER_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    grade: str
    """`ok`, `warn` or `fail`."""
    subject: str
    text: str


def _may_write(path: Path) -> bool:
    return os.access(path, os.R_OK | os.W_OK)


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine as the daemon would meet it."""

    environ: Mapping[str, str]
    root: Path = Path("/")
    """What takes the place of `/`."""
    uid: int = field(default_factory=os.getuid)
    may: Callable[[Path], bool] = _may_write
    """Whether this user may read and write a file."""

    def path(self, absolute: str | Path) -> Path:
        """Return where a file of the machine is."""
        return self.root / str(absolute).lstrip("/")

    @property
    def user(self) -> str:
        """Name of who runs this."""
        with contextlib.suppress(KeyError):
            return pwd.getpwuid(self.uid).pw_name
        return str(self.uid)

    def servers(self) -> dict[int, str]:
        """Sound servers that run here, by the user id of their session."""
        found: dict[int, str] = {}
        for folder in sorted(self.path("/run/user").glob("[0-9]*")):
            for name, socket in _SERVERS.items():
                with contextlib.suppress(OSError):
                    if folder.name.isdecimal() and (folder / socket).exists():
                        found.setdefault(int(folder.name), name)
        return found


def silent_causes(machine: Machine) -> Iterator[Finding]:
    """Yield why no microphone can be opened, as far as the machine shows it, and what to type."""
    locked = [path for path in sorted(machine.path("/dev/snd").glob("pcm*c")) if not machine.may(path)]
    if locked:
        yield Finding("fail", "audio", f"you may not open {locked[0]}; {_join(_group(locked[0], 'audio'), machine)}")
    for held in held_devices(machine.path("/proc")):
        who = f"{held.program} (process {held.pid})"
        text = f"{held.name} is held by {who}: end that program, or choose a device of the sound server"
        yield Finding("fail", "audio", text)
    servers = machine.servers()
    if machine.uid in servers:
        runtime = f"/run/user/{machine.uid}"
        if machine.environ.get("XDG_RUNTIME_DIR") != runtime:
            text = f"{servers[machine.uid]} runs, but cannot be found: export XDG_RUNTIME_DIR={runtime}"
            yield Finding("fail", "audio", text)
    else:
        for uid, name in servers.items():
            text = f"{name} has the microphone, in the session of {_user(uid)} only: run this and the service as that"
            yield Finding("fail", "audio", f"{text} user (make install-user-service)")


def mixer(machine: Machine) -> str:
    """Say what to do about a microphone that gives nothing but zeros."""
    if _says(machine, "Mute: yes", "pactl", "get-source-mute", "@DEFAULT_SOURCE@"):
        return "it is muted in the sound server: pactl set-source-mute @DEFAULT_SOURCE@ 0"
    if _says(machine, "[off]", "amixer", "sget", "Capture"):
        return "it is muted in the mixer: amixer sset Capture cap"
    return "is the microphone muted in the mixer, or by a switch? (alsamixer -V capture, or pavucontrol)"


def service(machine: Machine) -> Iterator[Finding]:
    """Yield what is to be said about running as a service, and about one that is installed."""
    yield from _interpreter(machine)
    yield from _system_sockets(machine)
    yield _fitting_unit(machine)
    yield from _lingering(machine)


def _interpreter(machine: Machine) -> Iterator[Finding]:
    version = sys.version_info[:2]
    if not (3, 11) <= version <= (3, 13):
        text = f"this is Python {version[0]}.{version[1]}; ser-daemon is made for 3.11 to 3.13"
        yield Finding("warn", "python", text)
    if not machine.path("/etc/systemd/system/ser-daemon.service").exists():
        return
    python = machine.path("/opt/ser-daemon/bin/python")
    real = python.resolve()
    if not python.exists():
        yield Finding("fail", "python", f"the service's {python} is missing: sudo make install-service")
    elif real.is_relative_to(machine.path("/home")) or real.is_relative_to(machine.path("/root")):
        text = f"the service runs {real}, and it cannot see home folders: sudo make install-service"
        yield Finding("fail", "python", text)
    else:
        yield Finding("ok", "python", f"the service runs {real}")


def _system_sockets(machine: Machine) -> Iterator[Finding]:
    events, control = machine.path(SYSTEM_SOCKET), machine.path(control_socket(SYSTEM_SOCKET))
    if not events.exists():
        return
    if not machine.may(events):
        text = f"you may not listen to the machine's service; {_join(_group(events, 'ser'), machine)}"
        yield Finding("warn", "socket", text)
    elif not machine.may(control):
        text = "you may listen to the machine's service but not mute it"
        yield Finding("ok", "socket", f"{text}; if you are to, {_join(_group(control, 'ser-control'), machine)}")
    else:
        yield Finding("ok", "socket", f"the machine's service can be reached on {events}")


def _fitting_unit(machine: Machine) -> Finding:
    runtime = Path(machine.environ.get("XDG_RUNTIME_DIR", "/nonexistent"))
    running = next((name for name, socket in _SERVERS.items() if (runtime / socket).exists()), None)
    if running:
        text = f"{running} runs for this user: as a service use the user's unit (systemctl --user)"
    else:
        text = "no sound server runs for this user: as a service use the system's unit, which goes to ALSA"
    return Finding("ok", "service", text)


def _lingering(machine: Machine) -> Iterator[Finding]:
    home = Path(machine.environ.get("HOME", "/nonexistent"))
    enabled = home / ".config/systemd/user/default.target.wants/ser-daemon.service"
    if not enabled.is_symlink() or machine.path(f"/var/lib/systemd/linger/{machine.user}").exists():
        return
    text = f"your service runs while you are logged in; from boot on: loginctl enable-linger {machine.user}"
    on_screen = bool(machine.environ.get("DISPLAY") or machine.environ.get("WAYLAND_DISPLAY"))
    yield Finding("ok" if on_screen else "warn", "service", text)


def _says(machine: Machine, words: str, *command: str) -> bool:
    """Whether a mixer's command prints these words."""
    if shutil.which(command[0], path=machine.environ.get("PATH")) is None:
        return False
    environ = {**machine.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=_MIXER_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and words in done.stdout


def _join(group: str, machine: Machine) -> str:
    return f"join the group {group}: sudo usermod -aG {group} {machine.user}, then log in again"


def _group(path: Path, usual: str) -> str:
    """Name the group of a file, as which something may be done with it."""
    try:
        name = grp.getgrgid(path.stat().st_gid).gr_name
    except (OSError, KeyError):
        return usual
    # Of root's group nobody should be made a member.
    return usual if name == "root" else name


def _user(uid: int) -> str:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return f"user {uid}"
