"""Build the virtual environment of a service: locked dependencies, checked by hash, and the program."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from layout import InstallError, Target

SOURCE = Path(__file__).resolve().parents[1]
PACKAGES = ("model/ser_model", "daemon/ser_daemon", "calibration/ser_calibration", "bridges/ser_bridges")
LOCK = "systemd/requirements.txt"
PROJECT = ("pyproject.toml", "README.md", "LICENSE")


def require_python(python: Path, target: Target) -> None:
    """Check that the service can run an interpreter.

    Raises:
        InstallError: It is missing, of another version, or below a home folder, which the service cannot read.
    """
    code = "import sys, os; print(*sys.version_info[:2], os.path.realpath(sys.executable)); import venv, ensurepip"
    try:
        done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=False)
    except OSError as error:
        raise InstallError(
            f"{python} cannot be run: {error.strerror}; name another with SERVICE_PYTHON=PATH."
        ) from error
    if not done.stdout:
        raise InstallError(f"{python} does not work: {done.stderr.strip()}; name another with SERVICE_PYTHON=PATH.")
    major, minor, real = done.stdout.split()
    if not (3, 11) <= (int(major), int(minor)) <= (3, 13):
        raise InstallError(f"{python} is Python {major}.{minor}; name a Python 3.11 to 3.13 with SERVICE_PYTHON=PATH.")
    if target.user is None and Path(real).parts[1] in ("home", "root"):
        raise InstallError(f"{python} is {real}: a service cannot see home folders; take the system's own Python.")
    if done.returncode:
        raise InstallError(f"{python} cannot make environments: sudo apt-get install python3-venv")


def build(target: Target, python: Path) -> Path:
    """Return the environment for this source; build it if it does not exist."""
    environment = target.program / f"env-{fingerprint(python)}"
    complete = environment / "complete"
    if complete.exists():
        print(f"The program in {environment} is up to date.")
        return environment
    print(f"Installing the program into {environment}; the first time takes a minute ...", flush=True)
    shutil.rmtree(environment, ignore_errors=True)
    environment.parent.mkdir(parents=True, exist_ok=True)
    try:
        run("make an environment", str(python), "-I", "-m", "venv", str(environment))
        pip = [str(environment / "bin/python"), "-I", "-m", "pip", "install", "--quiet", "--no-input"]
        pip += ["--disable-pip-version-check", "--no-warn-script-location"]
        run("install what it needs", *pip, "--require-hashes", "-r", str(SOURCE / LOCK))
        with tempfile.TemporaryDirectory(prefix="ser-daemon-") as folder:
            # From a copy: setuptools leaves folders in the source tree, which root would own.
            copy_source(Path(folder))
            run("install the program", *pip, "--no-deps", "--no-build-isolation", folder)
    except BaseException:
        shutil.rmtree(environment, ignore_errors=True)
        with contextlib.suppress(OSError):
            target.program.rmdir()
        raise
    complete.touch()
    return environment


def source_files() -> list[Path]:
    """Return the files of the program, relative to the source tree."""
    found = [Path(name) for name in PROJECT]
    for package in PACKAGES:
        for path in sorted((SOURCE / package).rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                found.append(path.relative_to(SOURCE))
    return found


def fingerprint(python: Path) -> str:
    """Return a hash of the sources, the lock file and the interpreter."""
    version = subprocess.run([python, "-VV"], capture_output=True, check=True).stdout
    digest = hashlib.sha256(version + str(python).encode())
    for path in (*source_files(), Path(LOCK)):
        digest.update(b"\0" + os.fsencode(path) + b"\0" + (SOURCE / path).read_bytes())
    return digest.hexdigest()[:12]


def copy_source(folder: Path) -> None:
    """Copy the files of the program."""
    for path in source_files():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(SOURCE / path, folder / path)


def run(purpose: str, *command: str) -> None:
    """Run a command without output.

    Raises:
        InstallError: The command failed; the text has the end of its output.
    """
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise InstallError(f"Could not {purpose}: there is no {command[0]} here.") from error
    if done.returncode:
        output = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise InstallError(f"Could not {purpose} ({command[0]}, exit status {done.returncode}): {' '.join(output)}")
