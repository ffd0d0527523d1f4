"""A sound system that ends the process is reported in a sentence, with what to do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.commands import Completed, environment, run


def run_with(tmp_path: Path, *arguments: str, **variables: str) -> Completed:
    variables = {"HOME": str(tmp_path), "SER_SOCKET": str(tmp_path / "s.sock"), **variables}
    return run("ser-daemon", *arguments, environ=environment(XDG_RUNTIME_DIR=None, **variables))


@pytest.mark.parametrize("variable", ["ALSA_CONFIG_PATH", "ALSA_CONFIG_DIR"])
@pytest.mark.parametrize("arguments", [["--list-devices"], []])
def test_without_a_configuration_of_alsa_the_variable_is_named(
    tmp_path: Path, variable: str, arguments: list[str]
) -> None:
    ended = run_with(tmp_path, *arguments, **{variable: "/nonexistent"})
    ended.assert_error(
        "ser-daemon", "configuration of ALSA is missing", f"{variable}=/nonexistent: unset it, or correct the file"
    )


def test_the_check_names_the_variable_and_goes_on(tmp_path: Path) -> None:
    ended = run_with(tmp_path, "--check", "-v", ALSA_CONFIG_PATH="/nonexistent")
    assert ended.code == 2
    assert "Traceback" not in ended.err
    [line] = [line for line in ended.out.splitlines() if line.startswith("fail  audio")]
    assert "ALSA is missing" in line
    assert "ALSA_CONFIG_PATH=/nonexistent: unset it" in line
    assert "  socket  " in ended.out


def test_a_damaged_configuration_of_alsa_is_named(tmp_path: Path) -> None:
    (tmp_path / ".asoundrc").write_text("pcm.!default { type\n")
    run_with(tmp_path, "--list-devices").assert_error("ser-daemon", "configuration of ALSA is damaged", "~/.asoundrc")


CRASHES = {"abort": "os.abort()", "fault": "os.kill(os.getpid(), 11)"}


@pytest.mark.parametrize("crash", CRASHES)
def test_any_crash_of_a_sound_library_is_reported(tmp_path: Path, crash: str) -> None:
    # Stands for a plug-in of ALSA that fails: the module is loaded in place of PortAudio's.
    (tmp_path / "sounddevice.py").write_text(f"import os, sys\nsys.stderr.write('plug\\x1b-in\\n')\n{CRASHES[crash]}\n")
    python_path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    signal_name = {"abort": "SIGABRT", "fault": "SIGSEGV"}[crash]
    words = (f"ends any program with {signal_name}", "plug", "listing the devices", "libportaudio2")
    run_with(tmp_path, "--list-devices", PYTHONPATH=python_path).assert_error("ser-daemon", *words)
    ended = run_with(tmp_path, "--check", PYTHONPATH=python_path)
    assert ended.code == 2
    assert f"ends any program with {signal_name}" in ended.out
    assert 'while opening "default"' in ended.out
