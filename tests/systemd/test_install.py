"""The installer: a step that fails, whichever it is, leaves every file of the installation before as it was."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

Install = Callable[..., subprocess.CompletedProcess[str]]

_STEP = """
import errno, os, shutil, signal, sys
from pathlib import Path
from ser_daemon.install import command, manager, service
from ser_daemon.install.files import Files
from ser_daemon.install.layout import Target

root, failing = Path(sys.argv[2]), int(sys.argv[3])
names = [(os, "replace"), (os, "link"), (os, "symlink"), (os, "chmod"), (os, "mkdir"), (shutil, "copyfile")]
done = 0

def counted(real):
    def call(*arguments, **options):
        global done
        done += 1
        if done == failing and sys.argv[5] == "signal":
            os.kill(os.getpid(), signal.SIGTERM)
        elif done == failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(arguments[0]))
        return real(*arguments, **options)
    return call

for module, name in names:
    setattr(module, name, counted(getattr(module, name)))
target = Target(
    program=root / "program", units=root / "units", config=root / "etc/config.yaml", commands=root / "bin",
    shared=root / "share", state=root / "state", sysusers=root / "sysusers/ser-daemon.conf", user="somebody",
)
os.environ["SYSTEMD_OFFLINE"] = "1"
signal.signal(signal.SIGTERM, command.end)
try:
    service.activate(target, Files(Path(sys.argv[1])), target.program / sys.argv[4], manager.read_state(target))
except OSError as error:
    sys.exit(f"{error.filename}: {error.strerror}")
print(done)
"""


def snapshot(folder: Path) -> dict[str, str | bytes]:
    """Every file with its bytes, every link with its aim, every folder."""
    found: dict[str, str | bytes] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        found[name] = (
            f"-> {path.readlink()}" if path.is_symlink() else path.read_bytes() if path.is_file() else "folder"
        )
    return found


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """Install an environment of this name from a copy of the source into a root; one file operation fails."""
    if shutil.which("systemctl") is None:
        pytest.skip("no systemctl on this machine")
    source = tmp_path / "source"
    for name in ("systemd", "docs"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "config.yaml", source)

    def run(root: Path, failing: int, environment: str, how: str = "error") -> subprocess.CompletedProcess[str]:
        (root / "program" / environment / "bin").mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-B", "-c", _STEP, str(source), str(root), str(failing)]
        command += [environment, how]
        environ: dict[str, Any] = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(root / "config")}
        environ["XDG_RUNTIME_DIR"] = str(tmp_path / "nobody")
        environ["SYSTEMD_UNIT_PATH"] = f"{root / 'units'}:"
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environ)

    return run


def change(source: Path) -> None:
    """Make a newer source."""
    for path in (*(source / "systemd/user").iterdir(), source / "systemd/start-backoff", source / "docs/service.md"):
        path.write_text(path.read_text() + "# newer\n")


@pytest.mark.parametrize("upgrade", [True, False], ids=["upgrade", "first"])
def test_whichever_file_operation_fails_the_files_stay(tmp_path: Path, install: Install, upgrade: bool) -> None:
    root = tmp_path / "root"
    if upgrade:
        done = install(root, 0, "env-old")
        assert done.returncode == 0, done.stderr
        (root / "etc/config.yaml").write_text("gate: {hangover_ms: 800}\n")
        change(tmp_path / "source")
    (root / "program/env-new/bin").mkdir(parents=True)
    before = snapshot(root)
    total = int(install(shutil.copytree(root, tmp_path / "counted", symlinks=True), 0, "env-new").stdout.split()[-1])
    assert total > 20
    for failing in range(1, total + 1):
        done = install(root, failing, "env-new")
        assert "No space left on device" in done.stderr, (failing, done.stderr)
        assert snapshot(root) == before, failing
    assert install(root, 0, "env-new").returncode == 0
    assert snapshot(root)["program/bin"] == "-> env-new/bin"
    assert [name for name in snapshot(root) if name.endswith((".half", ".old"))] == []


def test_a_signal_between_two_file_operations_leaves_the_files_as_they_were(tmp_path: Path, install: Install) -> None:
    root = tmp_path / "root"
    assert install(root, 0, "env-old").returncode == 0
    change(tmp_path / "source")
    (root / "program/env-new/bin").mkdir(parents=True)
    before = snapshot(root)
    for operation in range(1, 30, 4):
        assert install(root, operation, "env-new", "signal").returncode == 128 + signal.SIGTERM
        assert snapshot(root) == before, operation
