"""Where the files of the service come from: a checkout, or an installed wheel.

Both hold them in the same folders: `systemd/`, `docs/service.md` and `config.yaml`. A wheel installs them below
`lib/ser-daemon` of its environment.
"""

from __future__ import annotations

import csv
import importlib.metadata
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, FileHash, PackageNotFoundError, PackagePath
from pathlib import Path

from ser_model.errors import SerError

DISTRIBUTION = "ser-daemon"
FOLDER = "lib/ser-daemon"
"""Folder of the files in an environment; pyproject.toml names it."""

LOCK = "systemd/requirements.txt"
"""Exact versions and hashes of the dependencies."""

_SUDO_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PACKAGE = Path(__file__).resolve().parents[1]


class InstallError(SerError):
    """The installation cannot continue; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Files:
    """The files of the service, and the program that they belong to."""

    root: Path
    """Folder of `systemd/`, `docs/service.md` and `config.yaml`."""
    wheel: Distribution | None = None
    """What is installed of the wheel; `None` for a checkout."""

    @property
    def prefix(self) -> Path:
        """Folder of the environment that the wheel is installed in."""
        return self.root.parents[1]

    @property
    def lock(self) -> Path:
        """The lock file."""
        return self.root / LOCK

    @property
    def sysusers(self) -> Path:
        """The file that declares the groups."""
        return self.root / "systemd/sysusers.d/ser-daemon.conf"

    def command(self, verb: str, *, user: bool) -> str:
        """Return what a user types to `install` or `uninstall` the service."""
        if self.wheel is None:
            return f"make {verb}-user-service" if user else f"sudo make {verb}-service"
        if user:
            return f"ser-ctl {verb}-service --user"
        # sudo looks for commands in the folders of the system only, and pipx puts them below the home folder.
        found = shutil.which("ser-ctl", path=_SUDO_PATH)
        return f"sudo {'ser-ctl' if found else os.path.abspath(sys.argv[0])} {verb}-service"

    @property
    def purge_option(self) -> str:
        """What is added to the command above to remove everything."""
        return "PURGE=1" if self.wheel is None else "--purge"

    @property
    def python_option(self) -> str:
        """How another Python is named."""
        return "SERVICE_PYTHON=PATH" if self.wheel is None else "--python PATH"


def find_files() -> Files:
    """Return the files that belong to this program.

    Raises:
        InstallError: It was installed without them.
    """
    checkout = _PACKAGE.parents[1]
    if (checkout / "pyproject.toml").is_file() and (checkout / LOCK).is_file():
        return Files(checkout)
    try:
        wheel = importlib.metadata.distribution(DISTRIBUTION)
    except PackageNotFoundError:
        wheel = None
    if wheel is not None:
        for path in installed_paths(wheel).values():
            if path.as_posix().endswith(f"/{FOLDER}/{LOCK}") and path.is_file():
                return Files(path.parents[1], wheel)
    raise InstallError(
        f"The files of the service are not beside {_PACKAGE}: install ser-daemon anew, from its wheel or source tree."
    )


def installed_paths(wheel: Distribution) -> dict[PackagePath, Path]:
    """Return where each file of an installed wheel is."""
    # Without links resolved: an environment may lie behind one.
    return {entry: Path(os.path.normpath(str(wheel.locate_file(entry)))) for entry in _recorded(wheel)}


def _recorded(wheel: Distribution) -> Iterator[PackagePath]:
    """Yield the entries of RECORD. Those of `wheel.files` lack what is missing, from Python 3.12 on."""
    for name, digest, _ in csv.reader((wheel.read_text("RECORD") or "").splitlines()):
        entry = PackagePath(name)
        entry.hash = FileHash(digest) if digest else None
        yield entry
