"""Which interpreters a service can be installed with."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ser_daemon.install.environment import require_python
from ser_daemon.install.files import Files, InstallError
from ser_daemon.install.layout import Target

FILES = Files(Path("/usr/src/ser-daemon"))


def target(folder: Path, user: str | None = None) -> Target:
    return Target(program=folder, units=folder, config=folder, commands=folder, shared=folder, state=folder, user=user)


def stand_in(folder: Path, script: str) -> Path:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 3 10 1 /usr/bin/python3.10", "is Python 3.10; name a Python 3.11 to 3.13 with SERVICE_PYTHON=PATH"),
        ("echo 3 11 0 /usr/bin/python3.11", "is a 32-bit program, and NumPy and ONNX Runtime have no wheels"),
        ("echo 3 11 1 /home/anna/python", "a service cannot see home folders"),
        ("echo 3 11 1 /usr/bin/python3.11; exit 1", "cannot make environments: sudo apt-get install python3-venv"),
        ("echo no such library >&2; exit 127", "does not work: no such library"),
    ],
)
def test_another_interpreter_is_refused_with_a_reason(tmp_path: Path, script: str, reason: str) -> None:
    with pytest.raises(InstallError, match=reason):
        require_python(stand_in(tmp_path, script), FILES, target(tmp_path))


def test_this_interpreter_serves_a_user(tmp_path: Path) -> None:
    require_python(Path(sys.executable), FILES, target(tmp_path, "anna"))
