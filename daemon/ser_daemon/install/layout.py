"""Where the installer puts files."""

from __future__ import annotations

import os
import pwd
import shutil
from dataclasses import dataclass
from pathlib import Path

from ser_daemon.install.files import Files, InstallError

COMMANDS = ("ser-daemon", "ser-watch", "ser-ctl", "ser-calibrate")
GROUPS = ("ser", "ser-control")
SHARED = (
    "man/man*/ser-*",
    "bash-completion/completions/ser-*",
    "zsh/site-functions/_ser-*",
    "fish/vendor_completions.d/ser-*",
)
"""Manual pages and completions, below `share` of an environment and below `Target.shared`."""
_DEBIAN = Path("/var/lib/dpkg/info/ser-daemon.list")
UNITS = ("ser-daemon.socket", "ser-daemon-control.socket", "ser-daemon.service")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Folders and files of an installation."""

    program: Path
    units: Path
    config: Path
    commands: Path
    shared: Path
    """Folder of manual pages and completions."""
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


def system_target(files: Files, *, daemon: bool = True) -> Target:
    """Return the target of the system service.

    Args:
        files: of the program.
        daemon: whether the daemon itself is meant, not its bridges.

    Raises:
        InstallError: The caller is not root, or the daemon belongs to the Debian package.
    """
    if os.geteuid() != 0 and not daemon:
        raise InstallError("Bridges of this machine need root: put sudo before it; bridges of your own: add --user.")
    if os.geteuid() != 0:
        raise InstallError(
            f"The machine's service needs root: {files.command('install', user=False)}; "
            f"a service of your own does not: {files.command('install', user=True)}."
        )
    if daemon and _DEBIAN.exists():
        raise InstallError(
            "The machine's service belongs to the Debian package ser-daemon: upgrade or remove it with apt."
        )
    return Target(
        program=Path("/opt/ser-daemon"),
        units=Path("/etc/systemd/system"),
        config=Path("/etc/ser-daemon/config.yaml"),
        commands=Path("/usr/local/bin"),
        shared=Path("/usr/local/share"),
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
        shared=home / ".local/share",
        state=home / ".local/state",
        user=entry.pw_name,
    )


def state_folders(target: Target) -> list[Path]:
    """Return the state folders. Those of the system are links (DynamicUser= in systemd.exec(5))."""
    roots = [target.state] if target.user else [target.state, target.state / "private"]
    found = [path for root in roots for path in sorted(root.glob("ser-daemon*"))]
    return [path for path in found if path.name.partition("@")[0] == "ser-daemon"]


def drop_ins(target: Target) -> list[Path]:
    """Return the folders of drop-ins for the units."""
    return sorted(target.units.glob("ser-daemon*.d"))


def lingering_advice(target: Target) -> str:
    """Return whether the service runs without a login, and how to change that."""
    if Path(f"/var/lib/systemd/linger/{target.user}").exists():
        return "It runs from boot on: lingering is on for you."
    word = f"loginctl enable-linger {target.user}"
    return f"It runs while you are logged in; from boot on, for a machine without a screen: {word}"
