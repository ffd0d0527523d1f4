"""Build the Debian package: the program with its locked libraries in /opt/ser-daemon, and the service.

    python release/deb.py [folder] [revision]          # dist by default

It is for the Debian release and the architecture of this machine, as its libraries are built for one Python:
/usr/bin/python3. Times are as for the wheel. DEBFULLNAME and DEBEMAIL name the maintainer, as for Debian's own tools.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile
from email.utils import formatdate
from pathlib import Path

import wheel
from wheel import BACKEND, LOCK, PIP, ROOT, locked, run

from ser_model import __version__

PYTHON = "/usr/bin/python3"
PROGRAM = "opt/ser-daemon"
TEMPLATES = ROOT / "release/debian"
COMMANDS = ("ser-daemon", "ser-watch", "ser-ctl", "ser-calibrate", "ser-model")


def build(folder: Path, date: int) -> Path:
    """Build the package into a folder; return its path.

    Raises:
        ValueError: This is no Debian.
    """
    for tool in ("dpkg-deb", PYTHON):
        if shutil.which(tool) is None:
            raise ValueError(f"there is no {tool}: a Debian package is built on Debian")
    os.umask(0o022)
    folder.mkdir(parents=True, exist_ok=True)
    revision = sys.argv[2] if len(sys.argv) > 2 else "1"
    version = f"{__version__}+{revision}"
    with tempfile.TemporaryDirectory(prefix="ser-deb-") as temporary:
        root = Path(temporary) / "root"
        make_environment(root / PROGRAM / "env", wheel.build(Path(temporary) / "wheel", date), Path(temporary))
        add_service(root)
        add_documents(root, version, date)
        add_control(root, version)
        architecture = output("dpkg", "--print-architecture")
        target = folder / f"ser-daemon_{version}_{architecture}.deb"
        command = ["dpkg-deb", "--root-owner-group", "-Zxz", "-z3", "--build", str(root), str(target)]
        run(*command, env={**os.environ, "SOURCE_DATE_EPOCH": str(date)})
    return target


def make_environment(environment: Path, program: Path, temporary: Path) -> None:
    """Make the virtual environment, as if it were made in its place on the other machine."""
    run(PYTHON, "-I", "-m", "venv", "--without-pip", str(environment))
    requirements = temporary / "requirements.txt"
    # Nothing is built on the other machine.
    requirements.write_text((ROOT / LOCK).read_text().replace(locked(BACKEND), ""))
    pip = [*PIP, "--python", str(environment / "bin/python"), "install", "--quiet", "--no-compile", "--no-deps"]
    run(*pip, "--require-hashes", "-r", str(requirements))
    run(*pip, "--no-index", str(program))
    for path in (environment / "bin").glob("[aA]ctivate*"):
        path.unlink()
    for path in environment.rglob("direct_url.json"):
        path.unlink()
    place = f"/{PROGRAM}/env"
    for path in [*(environment / "bin").iterdir(), environment / "pyvenv.cfg"]:
        if path.is_file() and not path.is_symlink():
            path.write_text(path.read_text().replace(str(environment), place))
    for path in environment.rglob("*"):
        # Wheels mark libraries as programs.
        if path.is_file() and not path.is_symlink() and path.parent != environment / "bin":
            path.chmod(0o644)


def add_service(root: Path) -> None:
    """Add units, groups, settings, and the links into the search path."""
    source = ROOT / "systemd"
    program = root / PROGRAM
    (program / "bin").symlink_to("env/bin")
    copy(source / "start-backoff", program / "start-backoff", 0o755)
    copy(ROOT / "docs/service.md", program / "service.md")
    copy(ROOT / "config.yaml", root / "etc/ser-daemon/config.yaml")
    copy(source / "sysusers.d/ser-daemon.conf", root / "usr/lib/sysusers.d/ser-daemon.conf")
    units = root / ("lib" if debian() < 13 else "usr/lib") / "systemd/system"
    for folder, place in ((source, units), (source / "user", root / "usr/lib/systemd/user")):
        for unit in (path for path in folder.iterdir() if path.suffix in (".service", ".socket")):
            # A user's units of the package run its program.
            text = unit.read_text().replace("%h/.local/share/ser-daemon", f"/{PROGRAM}")
            write(place / unit.name, text)
    (root / "usr/bin").mkdir(parents=True)
    for name in COMMANDS:
        (root / "usr/bin" / name).symlink_to(f"/{PROGRAM}/bin/{name}")
    for path in sorted((program / "env/share").rglob("*")):
        place = root / "usr/share" / path.relative_to(program / "env/share")
        if path.is_file() and path.name.lstrip("_").partition(".")[0] in COMMANDS:
            if place.parent.name.startswith("man"):
                write(place.with_name(f"{place.name}.gz"), packed(path.read_bytes()))
            else:
                copy(path, place.parent.parent / "vendor-completions" / place.name if "zsh" in place.parts else place)


def add_documents(root: Path, version: str, date: int) -> None:
    """Add licences, change log and the exceptions from Debian's policy."""
    documents = root / "usr/share/doc/ser-daemon"
    licence = (ROOT / "LICENSE").read_text()
    others = [ROOT / "model/ser_model/weights/MODEL_CARD.md", *sorted(ROOT.glob("*/*/*/LICENSE-*"))]
    listed = "".join(f"  {path.relative_to(ROOT).as_posix().partition('/')[2]}\n" for path in others)
    text = f"The code of ser-daemon:\n\n{licence}\nThe weights and the recording have licences of their own, in\n"
    text += f"/{PROGRAM}/env/lib/python3/site-packages:\n{listed}"
    text += "\nThe libraries beside them have theirs in their .dist-info folders.\n"
    write(documents / "copyright", text)
    entry = f"ser-daemon ({version}) stable; urgency=medium\n\n  * Version {__version__}.\n\n"
    entry += f" -- {maintainer()}  {formatdate(date)}\n"
    write(documents / "changelog.gz", packed(entry.encode()))
    copy(TEMPLATES / "lintian-overrides", root / "usr/share/lintian/overrides/ser-daemon")


def add_control(root: Path, version: str) -> None:
    """Add what dpkg reads."""
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and not path.is_symlink()]
    major, minor = map(int, output(PYTHON, "-c", "import sys; print(*sys.version_info[:2])").split())
    words = {
        "VERSION": version,
        "ARCHITECTURE": output("dpkg", "--print-architecture"),
        "MAINTAINER": maintainer(),
        "SIZE": str(sum(path.stat().st_size for path in files) // 1024),
        "PYTHON": f"python3 (>= {major}.{minor}), python3 (<< {major}.{minor + 1})",
    }
    control = root / "DEBIAN"
    text = re.sub(r"@(\w+)@", lambda match: words[match[1]], (TEMPLATES / "control").read_text())
    write(control / "control", text)
    write(control / "conffiles", "/etc/ser-daemon/config.yaml\n")
    sums = output(
        "md5sum",
        *(str(path.relative_to(root)) for path in files if "etc" not in path.relative_to(root).parts),
        cwd=root,
    )
    write(control / "md5sums", sums + "\n")
    for name in ("preinst", "postinst", "prerm", "postrm"):
        copy(TEMPLATES / name, control / name, 0o755)


def maintainer() -> str:
    """Return the name and address of who builds the package."""
    name, address = os.environ.get("DEBFULLNAME"), os.environ.get("DEBEMAIL")
    return f"{name or 'The ser-daemon authors'} <{address or 'ser-daemon@example.org'}>"


def debian() -> int:
    """Return the number of the Debian release; that of a testing release is 99."""
    match = re.search(r'^VERSION_ID="?(\d+)', Path("/etc/os-release").read_text(), re.MULTILINE)
    return int(match[1]) if match else 99


def copy(source: Path, place: Path, mode: int = 0o644) -> None:
    """Copy a file, and make the folders above it."""
    write(place, source.read_bytes())
    place.chmod(mode)


def write(place: Path, content: str | bytes) -> None:
    """Write a file, and make the folders above it."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content.encode() if isinstance(content, str) else content)


def packed(content: bytes) -> bytes:
    """Compress as `gzip -9n` does."""
    return gzip.compress(content, 9, mtime=0)


def output(*command: str, cwd: Path | None = None) -> str:
    """Return what a command prints."""
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(wheel.main("deb", build))
