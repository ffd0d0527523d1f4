"""Host probes find causes in the machine's own files, and advise what to type."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from ser_daemon.config.loading import load_config
from ser_daemon.diagnostics.check import run_check
from ser_daemon.diagnostics.host_probes import Finding, Machine, check_service, find_capture_problems, mute_advice

UID = 54_321
"""A user id that no machine uses."""


def machine(root: Path, **environ: str) -> Machine:
    """Return a machine with all files below `root`; those that contain `locked` are not accessible."""
    return Machine(
        environ={"PATH": str(root / "bin"), **environ}, root=root, uid=UID, can_access=lambda path: not locked(path)
    )


def locked(path: Path) -> bool:
    return path.exists() and path.read_text() == "locked"


def put(root: Path, name: str, text: str = "") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def only(findings: list[Finding], subject: str) -> Finding:
    [found] = [finding for finding in findings if finding.subject == subject]
    return found


def test_a_machine_without_problems_has_no_findings(tmp_path: Path) -> None:
    put(tmp_path, "dev/snd/pcmC0D0c")
    assert list(find_capture_problems(machine(tmp_path))) == []


def test_for_a_device_without_permission_the_group_is_named(tmp_path: Path) -> None:
    device = put(tmp_path, "dev/snd/pcmC0D0c", "locked")
    found = only(list(find_capture_problems(machine(tmp_path))), "audio")
    assert found.grade == "fail"
    assert found.text.startswith(f"you may not open {device}; join the group ")
    assert f" {UID}, then log in again" in found.text
    if os.getgid() == 0:
        assert "sudo usermod -aG audio " in found.text


def test_for_a_device_in_use_the_program_is_named(tmp_path: Path) -> None:
    put(tmp_path, "proc/asound/cards", " 0 [Mic            ]: USB-Audio - USB Mic\n")
    put(tmp_path, "proc/asound/card0/pcm0c/info", "card: 0\nname: USB Audio\n")
    put(tmp_path, "proc/asound/card0/pcm0c/sub0/status", "state: RUNNING\nowner_pid   : 77\n")
    put(tmp_path, "proc/77/comm", "arecord\n")
    found = only(list(find_capture_problems(machine(tmp_path))), "audio")
    assert "USB Mic: USB Audio (hw:0,0) is held by arecord (process 77): end that program" in found.text


def test_for_a_sound_server_of_another_user_the_session_is_named(tmp_path: Path) -> None:
    put(tmp_path, "run/user/54322/pulse/native")
    found = only(list(find_capture_problems(machine(tmp_path))), "audio")
    assert "PulseAudio has the microphone, in the session of user 54322 only" in found.text
    assert "ser-ctl install-service --user" in found.text


def test_for_a_sound_server_without_runtime_folder_the_export_is_named(tmp_path: Path) -> None:
    put(tmp_path, f"run/user/{UID}/pipewire-0")
    found = only(list(find_capture_problems(machine(tmp_path))), "audio")
    assert found.text == f"PipeWire runs, but cannot be found: export XDG_RUNTIME_DIR=/run/user/{UID}"
    assert list(find_capture_problems(machine(tmp_path, XDG_RUNTIME_DIR=f"/run/user/{UID}"))) == []


@pytest.mark.parametrize(
    ("program", "prints", "advice"),
    [
        ("pactl", "Mute: yes", "pactl set-source-mute @DEFAULT_SOURCE@ 0"),
        ("amixer", "Front Left: Capture 0 [0%] [off]", "amixer sset Capture cap"),
        ("pactl", "Mute: no", "is the microphone muted in the mixer, or by a switch?"),
    ],
)
def test_advice_depends_on_the_mixers_state(tmp_path: Path, program: str, prints: str, advice: str) -> None:
    put(tmp_path, f"bin/{program}", f"#!/bin/sh\necho '{prints}'\n").chmod(0o755)
    assert advice in mute_advice(machine(tmp_path))


def test_for_sockets_without_permission_the_group_is_named(tmp_path: Path) -> None:
    put(tmp_path, "run/ser-daemon/ser.sock", "locked")
    put(tmp_path, "run/ser-daemon/ser-control.sock", "locked")
    found = only(list(check_service(machine(tmp_path))), "socket")
    assert found.grade == "warn"
    assert "you may not listen to the machine's service; join the group" in found.text


def test_permission_to_listen_differs_from_permission_to_mute(tmp_path: Path) -> None:
    put(tmp_path, "run/ser-daemon/ser.sock")
    put(tmp_path, "run/ser-daemon/ser-control.sock", "locked")
    found = only(list(check_service(machine(tmp_path))), "socket")
    assert found.grade == "ok"
    assert "but not mute it; if you are to, join the group" in found.text


def test_a_service_without_its_interpreter_fails(tmp_path: Path) -> None:
    put(tmp_path, "etc/systemd/system/ser-daemon.service")
    found = only(list(check_service(machine(tmp_path))), "python")
    assert (found.grade, "is missing: sudo ser-ctl install-service" in found.text) == ("fail", True)


@pytest.mark.parametrize("place", ["home/anna/python3", "root/python3", "usr/bin/python3"])
def test_an_interpreter_below_a_home_folder_fails(tmp_path: Path, place: str) -> None:
    put(tmp_path, "etc/systemd/system/ser-daemon.service")
    real = put(tmp_path, place)
    (tmp_path / "opt/ser-daemon/bin").mkdir(parents=True)
    (tmp_path / "opt/ser-daemon/bin/python").symlink_to(real)
    found = only(list(check_service(machine(tmp_path))), "python")
    assert str(real) in found.text
    assert found.grade == ("ok" if place.startswith("usr") else "fail")


def test_once_a_unit_is_installed_no_other_is_recommended(tmp_path: Path) -> None:
    here = machine(tmp_path, XDG_RUNTIME_DIR=str(tmp_path))
    put(tmp_path, "pipewire-0")
    assert "use the user's unit" in only(list(check_service(here)), "service").text
    put(tmp_path, "etc/systemd/system/ser-daemon.service")
    text = only(list(check_service(here)), "service").text
    assert text.startswith("the system's unit is installed, which goes to ALSA; to hear through this user's PipeWire")
    (tmp_path / "pipewire-0").unlink()
    assert only(list(check_service(here)), "service").text == "the system's unit is installed, which goes to ALSA"


def test_a_users_service_without_lingering_is_a_warning(tmp_path: Path) -> None:
    link = tmp_path / "anna/.config/systemd/user/default.target.wants/ser-daemon.service"
    link.parent.mkdir(parents=True)
    link.symlink_to("../ser-daemon.service")
    here = machine(tmp_path, HOME=str(tmp_path / "anna"))
    texts = [finding.text for finding in check_service(here) if finding.grade == "warn"]
    assert texts == [f"your service runs while you are logged in; from boot on: loginctl enable-linger {UID}"]
    put(tmp_path, f"var/lib/systemd/linger/{UID}")
    assert [finding for finding in check_service(here) if finding.grade == "warn"] == []


def test_the_socket_file_of_a_killed_daemon_is_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "s.sock"))
    left.close()
    overrides = {"audio.device": "stdin", "socket.path": tmp_path / "s.sock"}
    run_check(load_config(environ={}, overrides=overrides, default_files=[]), {"HOME": str(tmp_path)}, verbose=True)
    text = f"{tmp_path / 's.sock'} can be used; one that a killed daemon had left was removed"
    assert text in capsys.readouterr().out
