"""The environment that a service runs in: exact versions, checked by their hashes, and the program itself."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from layout import Place, Refused

SOURCE = Path(__file__).resolve().parents[1]
PACKAGES = ("model/ser_model", "daemon/ser_daemon", "calibration/ser_calibration")
LOCK = "systemd/requirements.txt"
PROJECT = ("pyproject.toml", "README.md", "LICENSE")


def require_python(python: Path, place: Place) -> None:
    """Refuse an interpreter that is missing, too old or too new, or out of the service's sight."""
    code = "import sys, os; print(*sys.version_info[:2], os.path.realpath(sys.executable)); import venv, ensurepip"
    try:
        done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=False)
    except OSError as error:
        raise Refused(f"{python} cannot be run: {error.strerror}; name another with SERVICE_PYTHON=PATH.") from error
    if not done.stdout:
        raise Refused(f"{python} does not work: {done.stderr.strip()}; name another with SERVICE_PYTHON=PATH.")
    major, minor, real = done.stdout.split()
    if not (3, 11) <= (int(major), int(minor)) <= (3, 13):
        raise Refused(f"{python} is Python {major}.{minor}; name a Python 3.11 to 3.13 with SERVICE_PYTHON=PATH.")
    if place.user is None and Path(real).parts[1] in ("home", "root"):
        raise Refused(f"{python} is {real}: a service cannot see home folders; take the system's own Python.")
    if done.returncode:
        raise Refused(f"{python} cannot make environments: sudo apt-get install python3-venv")


def build(place: Place, python: Path) -> Path:
    """Return the environment for this source, made unless it is already there."""
    environment = place.program / f"env-{fingerprint(python)}"
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
            # A copy: setuptools leaves folders behind, which would belong to root.
            copy_source(Path(folder))
            run("install the program", *pip, "--no-deps", "--no-build-isolation", folder)
    except BaseException:
        shutil.rmtree(environment, ignore_errors=True)
        with contextlib.suppress(OSError):
            place.program.rmdir()
        raise
    complete.touch()
    return environment


def source_files() -> list[Path]:
    """Return what goes into the program, relative to the source tree."""
    found = [Path(name) for name in PROJECT]
    for package in PACKAGES:
        for path in sorted((SOURCE / package).rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                found.append(path.relative_to(SOURCE))
    return found


def fingerprint(python: Path) -> str:
    """Return a name for what these sources, this lock file and this interpreter make."""
    version = subprocess.run([python, "-VV"], capture_output=True, check=True).stdout
    digest = hashlib.sha256(version + str(python).encode())
    for path in (*source_files(), Path(LOCK)):
        digest.update(b"\0" + os.fsencode(path) + b"\0" + (SOURCE / path).read_bytes())
    return digest.hexdigest()[:12]


def copy_source(folder: Path) -> None:
    """Copy what goes into the program."""
    for path in source_files():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(SOURCE / path, folder / path)


def run(what: str, *command: str) -> None:
    """Run a command quietly.

    Raises:
        Refused: it failed; with the end of what it said
    """
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise Refused(f"Could not {what}: there is no {command[0]} here.") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise Refused(f"Could not {what} ({command[0]}, exit status {done.returncode}): {' '.join(said)}")
