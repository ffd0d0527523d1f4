"""The wheel: four packages, their data, six commands, and no training library at run time."""

from __future__ import annotations

import configparser
import importlib.metadata
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from ser_daemon.install.files import FOLDER
from ser_daemon.install.program import copy_source
from ser_model.version import COMMIT_FILE
from support.commands import MODULES

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"ser_model": "model", "ser_daemon": "daemon", "ser_calibration": "calibration", "ser_bridges": "bridges"}
COMMANDS = tuple(MODULES)


def isolated(code: str, *path: Path, timeout: float = 60) -> str:
    """Run code in a new interpreter outside of the source tree; return its output."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env=environ,
        cwd="/",
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy, since setuptools would later pack the build folder that it leaves."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    copy_source(ROOT, tree)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(out),
        str(tree),
    ]
    try:
        major = int(importlib.metadata.version("setuptools").partition(".")[0])
    except importlib.metadata.PackageNotFoundError:
        major = 0
    # The version that pyproject.toml requires; pip downloads it if the installed one is older.
    if major >= 77:
        command.insert(4, "--no-build-isolation")
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    [path] = out.iterdir()
    return path


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the unpacked wheel."""
    target = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def test_the_wheel_holds_exactly_the_files_of_the_packages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tops = {PurePosixPath(name).parts[0] for name in names}
    assert {top for top in tops if not top.endswith((".dist-info", ".data"))} == set(PACKAGES)
    expected = {
        path.relative_to(ROOT / folder).as_posix()
        for package, folder in PACKAGES.items()
        for path in (ROOT / folder / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    # Where it is built from a checkout, one file more names the commit.
    made = {name for name in names if ".dist-info/" not in name and ".data/" not in name}
    assert made - {f"ser_model/{COMMIT_FILE}"} == expected


def test_the_wheel_has_the_files_of_the_service_in_their_folders(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    held = {name.partition(f".data/data/{FOLDER}/")[2]: data for name, data in content.items() if FOLDER in name}
    names = {"config.yaml", "docs/service.md"}
    names |= {path.relative_to(ROOT).as_posix() for path in (ROOT / "systemd").rglob("*") if path.is_file()}
    assert held == {name: (ROOT / name).read_bytes() for name in names}


def test_the_wheel_has_the_manual_pages_and_completions_below_its_prefix(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        content = {name.partition(".data/data/share/")[2]: archive.read(name) for name in archive.namelist()}
    content.pop("", None)
    share = ROOT / "share"
    files = [path for path in share.rglob("*") if path.is_file()]
    assert content == {path.relative_to(share).as_posix(): path.read_bytes() for path in files}


def test_the_wheel_has_the_weights_the_recording_and_the_licences(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "ser_model/weights/silero_vad_16k_batch.onnx" in names
    assert "ser_daemon/data/demo.flac" in names
    for package in PACKAGES:
        assert f"{package}/py.typed" in names
    licences = {PurePosixPath(name).name for name in names if ".dist-info/licenses/" in name}
    texts = {path.name for package, folder in PACKAGES.items() for path in (ROOT / folder / package).rglob("LICENSE-*")}
    assert licences == {"LICENSE"} | texts
    models = {"LICENSE-silero-vad.txt", "LICENSE-reslstm-sa.txt", "LICENSE-CC-BY-NC-SA-4.0.txt"}
    assert texts == models | {"LICENSE-demo.txt"}


def test_the_metadata_name_the_licences_of_all_that_the_wheel_holds(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = archive.read(name).decode().splitlines()
    assert "License-Expression: MIT AND CC-BY-NC-SA-4.0 AND CC-BY-4.0 AND ODbL-1.0" in metadata


def test_the_commands_refer_to_functions(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("/entry_points.txt")]
        entries = configparser.ConfigParser()
        entries.read_string(archive.read(name).decode())
    assert set(entries["console_scripts"]) == set(COMMANDS)
    for target in entries["console_scripts"].values():
        module, _, function = target.partition(":")
        isolated(f"import importlib; assert callable(importlib.import_module({module!r}).{function})")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    target = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"][command]
    module, _, function = target.partition(":")
    code = (
        f"import sys; sys.argv = [{command!r}, '--help']\n"
        f"from {module} import {function} as main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
    )
    assert isolated(code).startswith(f"usage: {command}")


def test_no_training_library_is_loaded_at_run_time(installed: Path) -> None:
    code = """
import importlib, pkgutil, sys
import ser_daemon
names = [item.name for item in pkgutil.walk_packages(ser_daemon.__path__, "ser_daemon.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
import ser_model.audio.gate, ser_model.features.features, ser_model.network.estimator, ser_model.audio.files
heavy = {"torch", "scipy", "librosa", "python_speech_features", "onnx", "numba", "sklearn", "tqdm"}
print(ser_daemon.__file__, len(names) > 20, sorted(heavy & set(sys.modules)))
"""
    assert isolated(code, installed).split() == [str(installed / "ser_daemon" / "__init__.py"), "True", "[]"]


def test_the_wheel_works_without_the_source_tree(installed: Path) -> None:
    code = """
from ser_model.config import GateConfig
from ser_model.audio.vad import make_detector
from ser_daemon.config.loading import load_config
detector = make_detector(GateConfig(engine="silero"))
print(detector.__class__.__module__, load_config(environ={'SER_GATE_ENGINE': 'silero'}, default_files=[]).gate.engine)
"""
    assert isolated(code, installed).split() == ["ser_model.audio.vad", "silero"]


def test_the_base_install_needs_no_torch() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    base = " ".join(project["dependencies"])
    assert not any(name in base for name in ("torch", "scipy", "librosa", "python_speech_features"))
