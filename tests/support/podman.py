"""Podman with a storage of its own, on whatever kernel the tests run (Debian: podman, and crun or runc)."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

LIMITS = ("--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges")
"""As docs/container.md has them."""


def unavailable_reason() -> str | None:
    """Return why no container can be run here; None where one can."""
    if shutil.which("podman") is None:
        return "there is no podman here"
    return None if os.geteuid() == 0 else "containers of other users need root"


class Podman:
    """Podman, whose images and containers are below a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.command = ["podman", "--root", str(folder / "storage"), "--runroot", str(folder / "run")]
        settings = folder / "containers.conf"
        settings.write_text(_settings())
        self.environ = {**os.environ, "CONTAINERS_CONF": str(settings)}

    def run(self, *words: object, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command of podman."""
        command = [*self.command, *map(str, words)]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env=self.environ,
            stdin=subprocess.DEVNULL,
        )
        assert not check or done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def close(self) -> None:
        """Remove all of it."""
        self.run("rm", "--all", "--force", "--volumes")
        # Podman leaves its storage mounted on itself.
        subprocess.run(["umount", self._folder / "storage/overlay"], stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(self._folder)

    @contextlib.contextmanager
    def container(self, *words: object) -> Iterator[Container]:
        """Start a container in the background; remove it at the end."""
        name = self.run("run", "--detach", *LIMITS, *words).stdout.strip()
        try:
            yield Container(self, name)
        finally:
            self.run("rm", "--force", "--volumes", name)


class Container:
    """A container that was started."""

    def __init__(self, podman: Podman, name: str) -> None:
        self._podman = podman
        self._name = name

    def exec(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in it."""
        return self._podman.run("exec", self._name, *words, check=check)

    def is_healthy(self) -> bool:
        """Whether the health check of its image succeeds."""
        return self._podman.run("healthcheck", "run", self._name, check=False).returncode == 0

    def stop(self) -> int:
        """Send SIGTERM; return the exit status."""
        self._podman.run("stop", self._name)
        return int(self._podman.run("inspect", "--format", "{{.State.ExitCode}}", self._name).stdout)

    def log(self) -> str:
        """Return what it has printed."""
        done = self._podman.run("logs", self._name)
        return done.stdout + done.stderr


def _settings() -> str:
    # Podman's default limits are above those of a machine that is a container itself.
    lines = ["[containers]", 'default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]', "[engine]"]
    if not Path("/run/systemd/system").exists():
        lines += ['cgroup_manager = "cgroupfs"', 'events_logger = "file"']
    if Path("/sys/fs/cgroup/unified").exists() and shutil.which("runc"):
        # crun refuses to work where both versions of control groups are in use.
        lines.append('runtime = "runc"')
    return "\n".join(lines) + "\n"
