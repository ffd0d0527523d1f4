"""The doctor tells causes apart by the machine's own files, and says what to type."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from ser_daemon.config.loading import load_config
from ser_daemon.diagnostics.check import run_check
from ser_daemon.diagnostics.host_probes import Finding, Machine, mixer, service, silent_causes

UID = 54_321
"""A user that no machine has."""


def machine(root: Path, **environ: str) -> Machine:
    """A machine whose files all lie below `root`, and may be used unless they are named `locked`."""
    return Machine(
        environ={"PATH": str(root / "bin"), **environ}, root=root, uid=UID, may=lambda path: not locked(path)
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


def test_a_machine_with_nothing_wrong_gives_no_cause(tmp_path: Path) -> None:
    put(tmp_path, "dev/snd/pcmC0D0c")
    assert list(silent_causes(machine(tmp_path))) == []


def test_a_device_without_permission_names_the_group(tmp_path: Path) -> None:
    device = put(tmp_path, "dev/snd/pcmC0D0c", "locked")
    found = only(list(silent_causes(machine(tmp_path))), "audio")
    assert found.grade == "fail"
    assert found.text.startswith(f"you may not open {device}; join the group ")
    assert f" {UID}, then log in again" in found.text
    if os.getgid() == 0:
        assert "sudo usermod -aG audio " in found.text


def test_a_device_that_is_held_names_the_program(tmp_path: Path) -> None:
    put(tmp_path, "proc/asound/cards", " 0 [Mic            ]: USB-Audio - USB Mic\n")
    put(tmp_path, "proc/asound/card0/pcm0c/info", "card: 0\nname: USB Audio\n")
    put(tmp_path, "proc/asound/card0/pcm0c/sub0/status", "state: RUNNING\nowner_pid   : 77\n")
    put(tmp_path, "proc/77/comm", "arecord\n")
    found = only(list(silent_causes(machine(tmp_path))), "audio")
    assert "USB Mic: USB Audio (hw:0,0) is held by arecord (process 77): end that program" in found.text


def test_a_sound_server_of_somebody_else_names_the_session(tmp_path: Path) -> None:
    put(tmp_path, "run/user/54322/pulse/native")
    found = only(list(silent_causes(machine(tmp_path))), "audio")
    assert "PulseAudio has the microphone, in the session of user 54322 only" in found.text
    assert "make install-user-service" in found.text


def test_a_sound_server_that_cannot_be_found_says_what_to_export(tmp_path: Path) -> None:
    put(tmp_path, f"run/user/{UID}/pipewire-0")
    found = only(list(silent_causes(machine(tmp_path))), "audio")
    assert found.text == f"PipeWire runs, but cannot be found: export XDG_RUNTIME_DIR=/run/user/{UID}"
    assert list(silent_causes(machine(tmp_path, XDG_RUNTIME_DIR=f"/run/user/{UID}"))) == []


@pytest.mark.parametrize(
    ("program", "prints", "advice"),
    [
        ("pactl", "Mute: yes", "pactl set-source-mute @DEFAULT_SOURCE@ 0"),
        ("amixer", "Front Left: Capture 0 [0%] [off]", "amixer sset Capture cap"),
        ("pactl", "Mute: no", "is the microphone muted in the mixer, or by a switch?"),
    ],
)
def test_a_mixer_that_mutes_is_asked(tmp_path: Path, program: str, prints: str, advice: str) -> None:
    put(tmp_path, f"bin/{program}", f"#!/bin/sh\necho '{prints}'\n").chmod(0o755)
    assert advice in mixer(machine(tmp_path))


def test_sockets_without_permission_name_the_group(tmp_path: Path) -> None:
    put(tmp_path, "run/ser-daemon/ser.sock", "locked")
    put(tmp_path, "run/ser-daemon/ser-control.sock", "locked")
    found = only(list(service(machine(tmp_path))), "socket")
    assert found.grade == "warn"
    assert "you may not listen to the machine's service; join the group" in found.text


def test_the_right_to_listen_is_told_from_the_right_to_mute(tmp_path: Path) -> None:
    put(tmp_path, "run/ser-daemon/ser.sock")
    put(tmp_path, "run/ser-daemon/ser-control.sock", "locked")
    found = only(list(service(machine(tmp_path))), "socket")
    assert found.grade == "ok"
    assert "but not mute it; if you are to, join the group" in found.text


def test_a_service_that_lacks_its_program_is_pointed_out(tmp_path: Path) -> None:
    put(tmp_path, "etc/systemd/system/ser-daemon.service")
    found = only(list(service(machine(tmp_path))), "python")
    assert (found.grade, "is missing: sudo make install-service" in found.text) == ("fail", True)


@pytest.mark.parametrize("place", ["home/anna/python3", "root/python3", "usr/bin/python3"])
def test_an_interpreter_that_a_service_cannot_see_is_pointed_out(tmp_path: Path, place: str) -> None:
    put(tmp_path, "etc/systemd/system/ser-daemon.service")
    real = put(tmp_path, place)
    (tmp_path / "opt/ser-daemon/bin").mkdir(parents=True)
    (tmp_path / "opt/ser-daemon/bin/python").symlink_to(real)
    found = only(list(service(machine(tmp_path))), "python")
    assert str(real) in found.text
    assert found.grade == ("ok" if place.startswith("usr") else "fail")


def test_a_users_service_without_lingering_is_pointed_out(tmp_path: Path) -> None:
    link = tmp_path / "anna/.config/systemd/user/default.target.wants/ser-daemon.service"
    link.parent.mkdir(parents=True)
    link.symlink_to("../ser-daemon.service")
    here = machine(tmp_path, HOME=str(tmp_path / "anna"))
    texts = [finding.text for finding in service(here) if finding.grade == "warn"]
    assert texts == [f"your service runs while you are logged in; from boot on: loginctl enable-linger {UID}"]
    put(tmp_path, f"var/lib/systemd/linger/{UID}")
    assert [finding for finding in service(here) if finding.grade == "warn"] == []


def test_a_socket_that_a_killed_daemon_left_is_told_from_one_in_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "s.sock"))
    left.close()
    overrides = {"audio.device": "stdin", "socket.path": tmp_path / "s.sock"}
    run_check(load_config(environ={}, overrides=overrides, usual=[]), {"HOME": str(tmp_path)})
    text = f"{tmp_path / 's.sock'} can be used; one that a killed daemon had left was removed"
    assert text in capsys.readouterr().out
