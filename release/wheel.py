"""Build the wheel so that anybody who builds it again gets the same bytes.

    python release/wheel.py [folder]          # dist by default

Its times are SOURCE_DATE_EPOCH (https://reproducible-builds.org/specs/source-date-epoch/), or else the time of the
latest commit. The build tool is the locked one of systemd/requirements.txt, checked by its hash. What remains is the
Python: another version may compress differently.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "model"), str(ROOT / "daemon")]

from ser_daemon.install.files import LOCK  # noqa: E402
from ser_daemon.install.program import copy_source  # noqa: E402

BACKEND = "setuptools"
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


def main(name: str = "wheel", make: Callable[[Path, int], Path] | None = None) -> int:
    """Build, and print the file with its sum."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "dist").resolve()
    try:
        made = (make or build)(folder, source_date())
    except subprocess.CalledProcessError as error:
        output = (error.stderr or error.stdout or "").strip().splitlines()[-1:]
        print(f"{name}: {' '.join(error.cmd[:5])} ... failed: {' '.join(output)}", file=sys.stderr)
        return 2
    except ValueError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    print(f"{hashlib.sha256(made.read_bytes()).hexdigest()}  {made}")
    return 0


def source_date() -> int:
    """Return the seconds since 1970 that the files of the wheel bear.

    Raises:
        ValueError: SOURCE_DATE_EPOCH is no number, or it is unset and this is no git checkout.
    """
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is not None:
        if not re.fullmatch(r"[0-9]{1,11}", given):
            raise ValueError(f"SOURCE_DATE_EPOCH: expected seconds since 1970, got {given!r}")
        return int(given)
    done = subprocess.run(
        ["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        raise ValueError("this is no git checkout: set SOURCE_DATE_EPOCH to seconds since 1970")
    return int(done.stdout)


def build(folder: Path, date: int) -> Path:
    """Build the wheel into a folder; return its path."""
    # The modes of files are in the wheel.
    os.umask(0o022)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ser-wheel-") as temporary:
        source, made = (Path(temporary) / name for name in ("source", "made"))
        copy_source(ROOT, source)
        environ = backend(Path(temporary), date)
        run(*PIP, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(made), str(source), env=environ)
        [wheel] = made.iterdir()
        return Path(shutil.move(wheel, folder / wheel.name))


def backend(temporary: Path, date: int) -> dict[str, str]:
    """Install the locked build tool into a temporary folder; return the environment in which it builds."""
    requirement = temporary / "backend.txt"
    requirement.write_text(locked(BACKEND))
    install = [*PIP, "install", "--quiet", "--no-deps", "--require-hashes", "-r", str(requirement)]
    run(*install, "--target", str(temporary / "backend"))
    return {**os.environ, "PYTHONPATH": str(temporary / "backend"), "SOURCE_DATE_EPOCH": str(date)}


def locked(package: str) -> str:
    """Return the lines of a package in the lock file."""
    text = (ROOT / LOCK).read_text()
    match = re.search(rf"^{package}==.*?(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    if match is None:
        raise ValueError(f"{LOCK} lacks {package}: make lock")
    return match[0]


def run(*command: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> None:
    """Run a command.

    Raises:
        CalledProcessError: it failed; with its output
    """
    subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, timeout=600, check=True)


if __name__ == "__main__":
    sys.exit(main())
