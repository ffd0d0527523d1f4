"""A config file that is there but cannot be read is refused, and nothing is read without end."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from ser_daemon.config.loading import ConfigError, config_files, load_config
from ser_daemon.config.profiles import MAX_BYTES as MAX_PROFILE_BYTES
from ser_daemon.config.profiles import read_profile
from ser_daemon.config.yaml_nodes import MAX_BYTES
from support.commands import environment, run

TINY_MEMORY = "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))"
"""Endless reading then ends in a `MemoryError` instead of taking the machine's memory."""


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def bound_socket(path: Path) -> None:
    # Relative, as the path of a socket is short.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        socket.socket(socket.AF_UNIX).bind(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


def loop(path: Path) -> None:
    path.symlink_to(path)


UNREADABLE: dict[str, tuple[Callable[[Path], None], str]] = {
    "folder": (Path.mkdir, "it is a folder, no file"),
    "dangling-link": (lambda path: path.symlink_to("nowhere"), "it is a link to something that does not exist"),
    "loop": (loop, "Too many levels of symbolic links"),
    "named-pipe": (os.mkfifo, "it is a named pipe, no file"),
    "socket": (bound_socket, "it is a socket, no file"),
    "zeros": (lambda path: path.symlink_to("/dev/zero"), "it is a device, no file"),
    "sparse-file": (sparse, "it is larger than 64 KiB"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
@pytest.mark.parametrize("named", [False, True])
def test_a_config_file_that_cannot_be_read_is_refused(tmp_path: Path, kind: str, named: bool) -> None:
    make, reason = UNREADABLE[kind]
    path = tmp_path / "ser-daemon" / "config.yaml"
    path.parent.mkdir()
    make(path)
    arguments = ["--config", str(path)] if named else []
    environ = environment(XDG_CONFIG_HOME=None if named else str(tmp_path), SER_SOCKET=str(tmp_path / "s.sock"))
    ended = run("ser-daemon", "--mic", "stdin", *arguments, before=TINY_MEMORY, environ=environ)
    ended.assert_error("ser-daemon", f"{path}: cannot read this file: {reason}")


def test_a_config_file_without_permission_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ser-daemon" / "config.yaml"
    path.parent.mkdir()
    path.write_text("service: {start_muted: true}\n")
    path.chmod(0)
    under: tuple[str, ...] = ()
    if os.geteuid() == 0:
        # Without capabilities, permissions apply to root too.
        under = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
        if shutil.which("setpriv") is None:
            pytest.skip("root may read everything, and there is no setpriv")
    ended = run("ser-daemon", "--mic", "stdin", environ=environment(XDG_CONFIG_HOME=str(tmp_path)), under=under)
    ended.assert_error("ser-daemon", f"{path}: cannot read this file: Permission denied")


def test_a_link_to_a_folder_that_is_gone_may_have_held_settings(tmp_path: Path) -> None:
    (tmp_path / "ser-daemon").symlink_to("unmounted")
    with pytest.raises(ConfigError, match=rf"{tmp_path}/ser-daemon is a link to something that does not exist$"):
        config_files({"XDG_CONFIG_HOME": str(tmp_path)})


@pytest.mark.parametrize("home", ["/nonexistent", "/dev/null"])
def test_a_file_that_does_not_exist_is_absent(home: str) -> None:
    assert not [file for file in config_files({"HOME": home}) if str(file).startswith(home)]


def test_the_largest_config_file_is_read_and_a_larger_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    text = "gate: {hangover_ms: 900}\n"
    path.write_text(text.ljust(MAX_BYTES, "#"))
    assert load_config(path=path, environ={}, default_files=[]).gate.hangover_ms == 900
    path.write_text(text.ljust(MAX_BYTES + 1, "#"))
    with pytest.raises(ConfigError, match=r"config\.yaml: cannot read this file: it is larger than 64 KiB$"):
        load_config(path=path, environ={}, default_files=[])


def test_a_profile_is_smaller_than_a_config_file(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("#".ljust(MAX_PROFILE_BYTES + 1))
    with pytest.raises(ConfigError, match=r"p\.yaml: cannot read this file: it is larger than 4 KiB$"):
        read_profile(path)
