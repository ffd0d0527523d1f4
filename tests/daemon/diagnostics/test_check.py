"""`ser-daemon --check` tries what the daemon needs, and advises on what is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from ser_daemon.config.loading import load_config
from ser_daemon.config.schema import KEYS
from ser_daemon.diagnostics import check as check_module
from ser_daemon.diagnostics.check import run_check
from ser_daemon.sources import DeviceBusy
from ser_daemon.wire.sockets import bind
from support.daemon import Daemon, wait_for
from support.pulse import virtual_microphone
from support.settings import uncommented_settings
from support.speech import SYNTHETIC_SPEECH


def check(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    device: str = f"file:{SYNTHETIC_SPEECH}",
    *,
    verbose: bool = True,
    **keys: object,
) -> tuple[int, str]:
    """Return the exit code and the output; socket and profiles are in the test's folder."""
    environ = {"HOME": str(tmp_path)}
    overrides: dict[str, object] = {"audio.device": device, "socket.path": tmp_path / "s.sock"}
    overrides |= {name.replace("__", "."): value for name, value in keys.items()}
    code = run_check(load_config(environ=environ, overrides=overrides, default_files=[]), environ, verbose=verbose)
    return code, capsys.readouterr().out


def test_a_ready_machine_is_reported_and_no_file_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = check(tmp_path, capsys)
    assert code == 0, out
    assert "fail" not in out
    assert out.startswith("Ready. Start it with: ser-daemon, and watch it with: ser-watch\n\n")
    assert out.count("Ready") == 1
    assert "ok    config  audio.device = file:" in out
    assert f"ok    audio   {SYNTHETIC_SPEECH} gives samples, level -" in out
    assert f"ok    socket  {tmp_path / 's.sock'} can be used" in out
    assert f"ok    socket  {tmp_path / 's-control.sock'} can be used" in out
    assert "no sound server runs for this user" in out
    assert list(tmp_path.iterdir()) == []


def test_missing_model_recording_and_folder_are_all_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = check(
        tmp_path,
        capsys,
        device=f"file:{tmp_path}/none.wav",
        model__path=tmp_path / "none.onnx",
        socket__path=tmp_path / "none" / "s.sock",
    )
    assert code == 2
    failures = [line for line in out.splitlines() if line.startswith("fail")]
    assert [line.split()[1] for line in failures] == ["model", "audio", "socket", "socket"]
    for line, name in zip(failures, ("none.onnx", "none.wav", "none", "none"), strict=True):
        assert f"{tmp_path}/{name}" in line
    assert out.startswith("Not ready: see the lines that begin with fail.\n\n")


def test_settings_at_their_defaults_are_folded_also_if_a_file_names_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = uncommented_settings(tmp_path)
    environ = {"HOME": str(tmp_path)}
    overrides = {"audio.device": f"file:{SYNTHETIC_SPEECH}", "socket.path": tmp_path / "s.sock"}
    config = load_config(path=shipped, environ=environ, overrides=overrides, default_files=[])
    assert len(config.sources) == len(KEYS)
    run_check(config, environ, verbose=True)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("ok    config")]
    assert lines == [
        f"ok    config  {shipped}",
        f"ok    config  audio.device = file:{SYNTHETIC_SPEECH}  (command line)",
        f"ok    config  socket.path = {tmp_path / 's.sock'}  (command line)",
        f"ok    config  {len(KEYS) - 2} settings at their defaults; ser-ctl config shows them",
    ]


def test_what_is_good_is_only_counted_unless_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = check(tmp_path, capsys, verbose=False)
    verdict, blank, *rest = out.splitlines()
    assert (code, verdict, blank) == (0, "Ready. Start it with: ser-daemon, and watch it with: ser-watch", "")
    [count] = rest
    assert count.endswith(" findings are good; ser-daemon --check -v shows them.")
    code, out = check(tmp_path, capsys, verbose=False, model__path=tmp_path / "none.onnx")
    assert code == 2
    assert [line.split()[:2] for line in out.splitlines()[2:-1]] == [["fail", "model"]]


def test_beside_a_running_daemon_the_verdict_is_that_it_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Daemon("--mic", "stdin", "--rate", "16000", feed=True, folder=tmp_path) as daemon:
        daemon.write(np.zeros(16_000, np.int16))
        control = daemon.controller()
        wait_for(lambda: bool(control.request("status")["data"]["state"] == "listening"))
        in_use = DeviceBusy('The microphone "USB Mic" is in use by ser-daemon (process 1)')
        monkeypatch.setattr(check_module, "_measure_level", raiser(in_use))
        code, out = check(tmp_path, capsys, device="default", socket__path=daemon.socket)
        assert code == 0, out
        assert out.startswith("Running. Watch it with: ser-watch\n\n")
        assert "the daemon that runs has the microphone: stdin" in out
        assert f"a daemon serves {daemon.socket}: listening on stdin" in out
        assert "Ready" not in out
        assert "Start it" not in out
        assert "warn" not in out


def raiser(error: Exception) -> Callable[..., Any]:
    def work(*_: object) -> None:
        raise error

    return work


def test_a_recording_of_zeros_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(tmp_path / "zeros.wav", np.zeros(16_000, np.int16), 16_000)
    code, out = check(tmp_path, capsys, device=f"file:{tmp_path}/zeros.wav")
    assert code == 0
    assert f"warn  audio   {tmp_path}/zeros.wav gives nothing but zeros; is the microphone muted" in out


def test_the_process_of_a_running_daemon_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listener = bind(tmp_path / "s.sock")
    try:
        code, out = check(tmp_path, capsys)
    finally:
        listener.sock.close()
    assert code == 0
    assert f"warn  socket  {tmp_path / 's.sock'} is held by process {os.getpid()} (" in out
    assert (tmp_path / "s.sock").exists()


def test_with_a_sound_server_the_users_unit_is_recommended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pipewire-0").touch()
    config = load_config(environ={}, overrides={"audio.device": "stdin"}, default_files=[])
    run_check(config, {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}, verbose=True)
    out = capsys.readouterr().out
    assert "PipeWire runs for this user: as a service use the user's unit (systemctl --user)" in out
    assert "ok    audio   stdin is read once the daemon runs" in out


def test_a_real_device_is_opened_and_read() -> None:
    with virtual_microphone() as pulse:
        done = subprocess.run(
            [sys.executable, "-m", "ser_daemon.cli.daemon", "--check", "-v"],
            env=pulse.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    # The monitor of a null sink without a player gives zeros.
    assert " gives nothing but zeros" in done.stdout, done.stdout + done.stderr
    assert "no profile: the gate learns by itself; better with: ser-calibrate mic" in done.stdout
    assert "PulseAudio runs for this user" in done.stdout
    assert done.returncode == 0, done.stdout
