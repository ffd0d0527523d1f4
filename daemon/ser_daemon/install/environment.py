"""Build the virtual environment of a service: locked dependencies, checked by hash, and the program."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ser_daemon.install.files import Files, InstallError
from ser_daemon.install.layout import Target
from ser_daemon.install.program import make_installable, program_files

SYSTEM_PYTHON = Path("/usr/bin/python3")

_OFFLINE = re.compile("NewConnectionError|ConnectTimeoutError|name resolution|Network is unreachable|Max retries")
"""What pip prints where it reaches no package index."""


def choose_python(named: Path | None, files: Files, target: Target) -> Path:
    """Return the interpreter of the service: the named one, else the system's, else the one that runs this.

    Raises:
        InstallError: None of them fits; the text is about the first.
    """
    if named is not None:
        require_python(named, files, target)
        return named
    try:
        require_python(SYSTEM_PYTHON, files, target)
    except InstallError:
        with contextlib.suppress(InstallError):
            # The one behind an environment: the environment itself may be removed.
            base = Path(os.path.realpath(sys.executable))
            require_python(base, files, target)
            return base
        raise
    return SYSTEM_PYTHON


def require_python(python: Path, files: Files, target: Target) -> None:
    """Check that the service can run an interpreter.

    Raises:
        InstallError: It is missing, of another version, a 32-bit program, or below a home folder, which the service
            cannot read.
    """
    code = "import sys, os; print(*sys.version_info[:2], sys.maxsize >> 32, os.path.realpath(sys.executable)); "
    code += "import venv, ensurepip"
    try:
        done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=False)
    except OSError as error:
        raise InstallError(
            f"{python} cannot be run: {error.strerror}; name another with {files.python_option}."
        ) from error
    if not done.stdout:
        raise InstallError(f"{python} does not work: {done.stderr.strip()}; name another with {files.python_option}.")
    major, minor, wide, real = done.stdout.split()
    if not (3, 11) <= (int(major), int(minor)) <= (3, 13):
        raise InstallError(
            f"{python} is Python {major}.{minor}; name a Python 3.11 to 3.13 with {files.python_option}."
        )
    if wide == "0":
        raise InstallError(
            f"{python} is a 32-bit program, and NumPy and ONNX Runtime have no wheels for 32-bit ARM: install a 64-bit "
            "system."
        )
    if target.user is None and Path(real).parts[1] in ("home", "root"):
        raise InstallError(f"{python} is {real}: a service cannot see home folders; take the system's own Python.")
    if done.returncode:
        raise InstallError(f"{python} cannot make environments: sudo apt-get install python3-venv")


def build(target: Target, files: Files, python: Path) -> Path:
    """Return the environment for this program; build it if it does not exist, or does not work.

    Raises:
        InstallError: A step failed. What was there before is unchanged.
    """
    environment = target.program / f"env-{fingerprint(files, python)}"
    complete = environment / "complete"
    if complete.exists() and works(environment):
        print(f"The program in {environment} is up to date.")
        return environment
    print(f"Installing the program into {environment}; the first time takes a minute ...", flush=True)
    shutil.rmtree(environment, ignore_errors=True)
    environment.parent.mkdir(parents=True, exist_ok=True)
    try:
        run("make an environment", str(python), "-I", "-m", "venv", str(environment))
        pip = [str(environment / "bin/python"), "-I", "-m", "pip", "install", "--quiet", "--no-input"]
        pip += ["--disable-pip-version-check", "--no-warn-script-location"]
        run("install what it needs", *pip, "--require-hashes", "-r", str(files.lock))
        with tempfile.TemporaryDirectory(prefix="ser-daemon-") as folder:
            made = make_installable(files, Path(folder))
            run("install the program", *pip, "--no-deps", "--no-index", "--no-build-isolation", str(made))
    except BaseException:
        shutil.rmtree(environment, ignore_errors=True)
        with contextlib.suppress(OSError):
            target.program.rmdir()
        raise
    complete.touch()
    return environment


def works(environment: Path) -> bool:
    """Whether the program in an environment can still be loaded: somebody may have removed a part, or the Python."""
    command = [str(environment / "bin/python"), "-I", "-c", "import onnxruntime, ser_daemon.cli.run"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def fingerprint(files: Files, python: Path) -> str:
    """Return a hash of the program, the lock file and the interpreter."""
    version = subprocess.run([python, "-VV"], capture_output=True, check=True).stdout
    digest = hashlib.sha256(version + str(python).encode())
    for name, path in sorted(program_files(files).items()):
        digest.update(b"\0" + os.fsencode(name) + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def run(purpose: str, *command: str) -> None:
    """Run a command without output.

    Raises:
        InstallError: The command failed; the text has the end of its output.
    """
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise InstallError(f"Could not {purpose}: there is no {command[0]} here.") from error
    if done.returncode and _OFFLINE.search(done.stderr):
        raise InstallError(
            f"Could not {purpose}: no package index can be reached. Connect to a network, or name a folder with the "
            "wheels of the lock file: PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER."
        )
    if done.returncode:
        output = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise InstallError(f"Could not {purpose} ({command[0]}, exit status {done.returncode}): {' '.join(output)}")
