"""The program of a service: put together from an installed wheel, it is the wheel that was installed."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

import pytest

from ser_daemon.install.files import FOLDER, LOCK, Files, InstallError
from ser_daemon.install.program import make_installable, program_files

STEM = "ser_daemon-7.0"
CONTENT = {
    "ser_daemon/__init__.py": "answer = 42\n",
    "ser_daemon/odd, name.txt": "a comma in the name\n",
    f"{STEM}.data/data/{FOLDER}/{LOCK}": "# none\n",
    f"{STEM}.data/data/share/man/man1/ser-daemon.1": ".TH SER-DAEMON 1\n",
    f"{STEM}.dist-info/METADATA": "Metadata-Version: 2.1\nName: ser-daemon\nVersion: 7.0\n",
    f"{STEM}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    f"{STEM}.dist-info/entry_points.txt": "[console_scripts]\nser-daemon = ser_daemon:main\n",
}


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/RECORD")}


def pip_install(wheel: Path, environment: Path) -> Files:
    """Install a wheel into a new environment; return the files of the service in it."""
    venv.create(environment, with_pip=False)
    pip = [sys.executable, "-m", "pip", "--python", str(environment / "bin/python"), "install"]
    pip += ["--quiet", "--no-deps", "--no-index", str(wheel)]
    done = subprocess.run(pip, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    [info] = environment.glob("lib/python3*/site-packages/ser_daemon-*.dist-info")
    distribution: Distribution = PathDistribution(info)
    return Files(environment / FOLDER, distribution)


def line_of_record(name: str) -> str:
    digest = hashlib.sha256(CONTENT[name].encode()).digest()
    return f'"{name}",sha256={base64.urlsafe_b64encode(digest).decode().rstrip("=")},{len(CONTENT[name])}\n'


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / f"{STEM}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in CONTENT.items():
            archive.writestr(name, text)
        archive.writestr(f"{STEM}.dist-info/RECORD", "".join(map(line_of_record, CONTENT)))
    return path


def test_what_is_put_together_is_the_wheel_and_can_be_installed_again(tmp_path: Path, wheel: Path) -> None:
    files = pip_install(wheel, tmp_path / "one")
    again = make_installable(files, tmp_path)
    assert contents(again) == {name: text.encode() for name, text in CONTENT.items()}
    second = pip_install(again, tmp_path / "two")
    assert {name: path.read_bytes() for name, path in program_files(second).items()} == contents(wheel)
    assert (tmp_path / "two/bin/ser-daemon").exists()
    assert (tmp_path / "two/share/man/man1/ser-daemon.1").exists()


def test_a_program_that_was_changed_after_its_installation_is_refused(tmp_path: Path, wheel: Path) -> None:
    files = pip_install(wheel, tmp_path / "one")
    [module] = (tmp_path / "one").rglob("ser_daemon/__init__.py")
    module.write_text("answer = 43\n")
    with pytest.raises(InstallError, match=r"__init__\.py was changed since it was installed; install ser-daemon anew"):
        make_installable(files, tmp_path)
    module.unlink()
    with pytest.raises(InstallError, match=r"__init__\.py: No such file or directory; install ser-daemon anew"):
        make_installable(files, tmp_path)
