"""The program that goes into a service's environment: from the source tree, or put together from an installed wheel."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import zipfile
from importlib.metadata import Distribution
from pathlib import Path, PurePosixPath

from ser_daemon.install.files import Files, InstallError, installed_paths
from ser_model import version

PACKAGES = ("model/ser_model", "daemon/ser_daemon", "calibration/ser_calibration", "bridges/ser_bridges")
PROJECT = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "config.yaml", "docs/service.md", "systemd", "share")
"""What the wheel is built from beside the packages."""

_OF_THE_INSTALLER = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json")
"""Files of a `.dist-info` folder that are no part of the wheel."""
_DATE = (1980, 1, 1, 0, 0, 0)
"""The first time that a ZIP file can hold."""


def program_files(files: Files) -> dict[str, Path]:
    """Return each file of the program by its name: in the source tree, or in the wheel.

    Raises:
        InstallError: A file of the wheel is missing, or is not as it was installed.
    """
    return _wheel_files(files, files.wheel) if files.wheel else source_files(files.root)


def make_installable(files: Files, folder: Path) -> Path:
    """Make what pip can install without a network, and return it: a copy of the source tree, or a wheel.

    Args:
        files: of the service.
        folder: an empty one for the result. setuptools leaves folders in a source tree, which root would own.
    """
    if files.wheel is None:
        copy_source(files.root, folder)
        return folder
    return _pack(program_files(files), _stem(files.wheel), folder)


def source_files(root: Path) -> dict[str, Path]:
    """Return the files from which the wheel is built."""
    found = {}
    for name in (*PROJECT, *PACKAGES):
        path = root / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and file.suffix != ".pyc":
                found[file.relative_to(root).as_posix()] = file
    return found


def copy_source(root: Path, folder: Path) -> None:
    """Copy the files from which the wheel is built, and note the commit, as the copy has no git."""
    for name, path in source_files(root).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)
    if (commit := version.commit()) is not None:
        (folder / "model/ser_model" / version.COMMIT_FILE).write_text(f"{commit}\n")


def _wheel_files(files: Files, wheel: Distribution) -> dict[str, Path]:
    """Return the files of an installed wheel by their names in it; RECORD says which, and their hashes."""
    found = {}
    for entry, path in installed_paths(wheel).items():
        if entry.hash is None or entry.suffix == ".pyc" or entry.name in _OF_THE_INSTALLER:
            continue
        name = entry.as_posix()
        if ".." in entry.parts or entry.is_absolute():
            if not path.is_relative_to(files.prefix) or path.is_relative_to(files.prefix / "bin"):
                # The commands: pip makes them anew.
                continue
            name = f"{_stem(wheel)}.data/data/{path.relative_to(files.prefix).as_posix()}"
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InstallError(f"{path}: {error.strerror}; install ser-daemon anew, then try again.") from None
        if entry.hash.mode != "sha256" or entry.hash.value != _hash(content):
            raise InstallError(f"{path} was changed since it was installed; install ser-daemon anew, then try again.")
        found[name] = path
    return found


def _pack(files: dict[str, Path], stem: str, folder: Path) -> Path:
    """Put a wheel together from its files (binary distribution format, packaging.python.org)."""
    target = folder / f"{stem}-py3-none-any.whl"
    record = []
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in files.items():
            content = path.read_bytes()
            record.append(f'"{name}",sha256={_hash(content)},{len(content)}\n')
            entry = zipfile.ZipInfo(name, _DATE)
            entry.external_attr = (0o755 if os.access(path, os.X_OK) else 0o644) << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
        name = f"{stem}.dist-info/RECORD"
        archive.writestr(zipfile.ZipInfo(name, _DATE), "".join(record) + f'"{name}",,\n')
    return target


def _stem(wheel: Distribution) -> str:
    """Return name and version as the names of its files have them."""
    [info] = {PurePosixPath(path).parts[0] for path in wheel.files or () if path.name == "METADATA"}
    return info.removesuffix(".dist-info")


def _hash(content: bytes) -> str:
    """Return a hash as RECORD has it."""
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
