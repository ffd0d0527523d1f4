"""Ask the package index whether the locked packages have wheels for each machine and Python.

    python release/check_wheels.py [--machine MACHINE] [--python VERSION] [requirements file]

Where a package has none, pip would compile it, which needs compilers and can take hours. Exit status: 0 x86-64 and
64-bit ARM have all; 1 they lack some; 2 pip failed; 3 no index can be reached. Pip is asked as it is set up here.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

from wheel import LOCK, PIP, ROOT

PYTHONS = ("3.11", "3.12", "3.13")
MACHINES = {"x86_64": "x86-64", "aarch64": "64-bit ARM", "armv7l": "32-bit ARM (armv7)", "armv6l": "32-bit ARM (armv6)"}
SUPPORTED = ("x86_64", "aarch64")

COMPLETE, INCOMPLETE, FAILED, UNREACHABLE = 0, 1, 2, 3

_GLIBC = range(17, 29)
"""Minor versions of glibc 2 whose wheels count: 2.28 is that of Debian 10."""

_LACKING = re.compile(r"No matching distribution found for ([\w.-]+)==")
_OFFLINE = re.compile("NewConnectionError|ConnectTimeoutError|name resolution|Network is unreachable|Max retries")


class UnreachableError(Exception):
    """No package index can be reached."""


def main(argv: list[str] | None = None) -> int:
    """Ask, and print a line for each machine and Python."""
    parser = argparse.ArgumentParser(prog="check-wheels", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("requirements", nargs="?", type=Path, default=ROOT / LOCK, help="default: %(default)s")
    parser.add_argument("--machine", choices=MACHINES, help="ask for this one only")
    parser.add_argument("--python", choices=PYTHONS, help="ask for this version only")
    options = parser.parse_args(argv)
    requirements = options.requirements
    result = COMPLETE
    try:
        entries = locked_packages(requirements.read_text())
        for machine in [options.machine] if options.machine else MACHINES:
            for python in [options.python] if options.python else PYTHONS:
                missing = lacking(entries, machine, python)
                print(f"{MACHINES[machine]:19} Python {python:5} {describe(missing, len(entries))}", flush=True)
                if missing and machine in SUPPORTED:
                    result = INCOMPLETE
    except OSError as error:
        print(f"check-wheels: {requirements}: {error.strerror}", file=sys.stderr)
        return FAILED
    except UnreachableError:
        print("check-wheels: nothing was checked, as no package index can be reached", file=sys.stderr)
        return UNREACHABLE
    except ValueError as error:
        print(f"check-wheels: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return 130
    return result


def describe(missing: list[str], count: int) -> str:
    """Return what a line says: how many packages have wheels, and which have none."""
    return f"{count - len(missing)} of {count}" + (f", none for {', '.join(sorted(missing))}" if missing else "")


def locked_packages(text: str) -> dict[str, str]:
    """Return the entries of a lock file, version and hashes, by package."""
    entries = re.findall(r"^[\w.-]+==.*?(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    return {entry.partition("==")[0]: entry for entry in entries}


def lacking(entries: dict[str, str], machine: str, python: str) -> list[str]:
    """Return the packages without a wheel.

    Raises:
        UnreachableError: No package index can be reached.
        ValueError: Pip failed for another reason.
    """
    left, missing = dict(entries), []
    while left:
        dry = ["install", "--dry-run", "--ignore-installed", "--no-deps", "--target", "/nonexistent"]
        done = ask_pip(dry, "".join(left.values()), machine, python)
        if done.returncode == 0:
            break
        # Pip names the first one only.
        name = _LACKING.search(done.stderr)
        if _OFFLINE.search(done.stderr):
            raise UnreachableError
        if name is None or name[1] not in left:
            raise ValueError(f"pip failed: {(done.stderr.strip().splitlines() or ['without a reason'])[-1]}")
        missing.append(name[1])
        del left[name[1]]
    return missing


def ask_pip(words: list[str], requirements: str, machine: str, python: str) -> subprocess.CompletedProcess[str]:
    """Run a command of pip for wheels of another machine and Python, checked by hash."""
    kinds = [f"manylinux_2_{minor}" for minor in _GLIBC] + ["manylinux2014", "linux"]
    options = ["--quiet", "--no-input", "--only-binary=:all:", "--python-version", python]
    options += [word for kind in kinds for word in ("--platform", f"{kind}_{machine}")]
    if "--hash" in requirements:
        options.append("--require-hashes")
    return subprocess.run(
        [*PIP, *words, *options, "--requirement", "/dev/stdin"],
        input=requirements,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


if __name__ == "__main__":
    sys.exit(main())
