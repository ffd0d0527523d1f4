"""Build the source distribution: all files of the commit, with its metadata. The same commit gives the same bytes.

    python release/sdist.py [folder]          # dist by default

Times are as for the wheel (release/wheel.py).
"""

from __future__ import annotations

import gzip
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from wheel import ROOT, backend, main, run

from ser_model.version import COMMIT_FILE, commit

_BUILD = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"


def build(folder: Path, date: int) -> Path:
    """Build the source distribution into a folder; return its path.

    Raises:
        ValueError: this is no git checkout, which knows what belongs to the source.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ser-sdist-") as temporary:
        source, made = (Path(temporary) / name for name in ("source", "made"))
        copy_checkout(source)
        run(sys.executable, "-c", _BUILD, str(made), env=backend(Path(temporary), date), cwd=source)
        [archive] = made.iterdir()
        target = folder / archive.name
        target.write_bytes(normalized(archive, date))
    return target


def copy_checkout(folder: Path) -> None:
    """Copy the files that git knows, and note the commit."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise ValueError("this is no git checkout: the files of the source distribution are those that git knows")
    for name in filter(None, done.stdout.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    (folder / "model/ser_model" / COMMIT_FILE).write_text(f"{commit()}\n")


def normalized(archive: Path, date: int) -> bytes:
    """Return the same archive with sorted names, one time, and no owner."""
    packed = io.BytesIO()
    with (
        tarfile.open(archive) as old,
        gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=date) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in sorted(old.getmembers(), key=lambda each: each.name):
            member.mtime, member.pax_headers = date, {}
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
    return packed.getvalue()


if __name__ == "__main__":
    sys.exit(main("sdist", build))
