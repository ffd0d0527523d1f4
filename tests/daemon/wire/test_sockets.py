"""Creating, inheriting and removing socket files."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import subprocess
import sys

import pytest

from ser_daemon.paths import (
    SYSTEM_SOCKET,
    candidate_sockets,
    config_files,
    control_socket,
    runtime_directory,
    state_directory,
)
from ser_daemon.wire import socket_folder
from ser_daemon.wire.peers import peer_of
from ser_daemon.wire.sockets import SocketError, bind, holder
from ser_daemon.wire.systemd_sockets import inherited
from ser_model.errors import SerError


def connectable(path):
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(os.fspath(path)) == 0


def test_only_its_owner_may_use_a_new_socket_whatever_the_umask(folder):
    before = os.umask(0)
    try:
        listener = bind(folder / "s")
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.lstat(listener.path).st_mode) == 0o600
    assert connectable(listener.path)
    listener.unlink()
    assert not listener.path.exists()
    listener.sock.close()


def test_a_stale_socket_is_replaced(folder):
    first = bind(folder / "s")
    first.sock.close()
    assert not connectable(folder / "s")
    second = bind(folder / "s")
    assert connectable(folder / "s")
    second.sock.close()


def test_the_error_of_a_second_daemon_names_the_process_that_holds_the_socket(folder):
    listener = bind(folder / "s")
    with pytest.raises(SocketError, match=rf"held by process {os.getpid()} .*--socket"):
        bind(folder / "s")
    assert connectable(folder / "s")
    listener.sock.close()
    assert holder(folder / "s") is None


def test_a_socket_whose_process_is_too_busy_to_accept_is_not_stale(folder):
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(os.fspath(folder / "s"))
        busy.listen(0)
        waiting = []
        while True:
            client = socket.socket(socket.AF_UNIX)
            client.setblocking(False)
            waiting.append(client)
            if client.connect_ex(os.fspath(folder / "s")):
                break
        with pytest.raises(SocketError, match="held by another process"):
            bind(folder / "s")
        for client in waiting:
            client.close()


def test_a_file_that_is_no_socket_is_left_alone(folder):
    (folder / "s").write_text("precious")
    with pytest.raises(SocketError, match="is no socket"):
        bind(folder / "s")
    assert (folder / "s").read_text() == "precious"


def test_a_path_too_long_for_linux_is_refused_with_both_lengths(folder):
    name = "x" * (108 - len(os.fsencode(folder)) - 1)
    with pytest.raises(SocketError, match="108 bytes long; Linux allows 107"):
        bind(folder / name)
    listener = bind(folder / name[1:])
    listener.sock.close()


def test_a_missing_folder_is_named_and_not_created(folder):
    with pytest.raises(SocketError, match="missing does not exist"):
        bind(folder / "missing" / "s")
    assert not (folder / "missing").exists()


def test_the_default_runtime_folder_is_created_for_its_owner_alone(folder, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", os.fspath(folder / "run"))
    listener = bind(runtime_directory() / "ser.sock")
    assert stat.S_IMODE(os.stat(folder / "run" / "ser-daemon").st_mode) == 0o700
    listener.sock.close()


def test_a_folder_that_stays_locked_is_an_error_and_no_hang(folder, monkeypatch):
    monkeypatch.setattr(socket_folder, "_LOCK_SECONDS", 0.05)
    fd = os.open(folder, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    with pytest.raises(SocketError, match="locked"):
        bind(folder / "s")
    os.close(fd)


def test_a_socket_file_that_another_process_replaced_is_not_removed(folder):
    first = bind(folder / "s")
    (folder / "s").unlink()
    second = bind(folder / "s")
    first.unlink()
    assert connectable(folder / "s")
    for listener in (first, second):
        listener.sock.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_not_writable_is_an_error(folder):
    folder.chmod(0o500)
    with pytest.raises(SocketError, match="Permission denied"):
        bind(folder / "s")
    folder.chmod(0o700)


def test_the_process_at_the_other_end_is_known(folder):
    listener = bind(folder / "s")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(os.fspath(folder / "s"))
        assert peer_of(client).pid == os.getpid()
    listener.sock.close()


INHERIT = """
import os, sys
a, b = map(int, sys.argv[1:3])
os.dup2(a, 3), os.dup2(b, 4)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="2", **dict(p.split("=") for p in sys.argv[3:]))
from ser_daemon.wire.systemd_sockets import inherited
for name, listener in sorted(inherited().items()):
    print(name, listener.path, listener.identity, os.get_inheritable(listener.sock.fileno()))
print([name for name in os.environ if name.startswith("LISTEN")])
"""


def inherit(*descriptors, names=None):
    extra = [] if names is None else [f"LISTEN_FDNAMES={names}"]
    # High numbers, so that duplicating one to 3 or 4 can't overwrite the other.
    fds = [fcntl.fcntl(fd, fcntl.F_DUPFD, 50) for fd in descriptors]
    command = [sys.executable, "-c", INHERIT, *map(str, fds), *extra]
    result = subprocess.run(command, pass_fds=fds, capture_output=True, text=True, timeout=30)
    for fd in fds:
        os.close(fd)
    return result


@pytest.mark.parametrize(("names", "order"), [("events:control", "ab"), ("control:events", "ba"), (None, "ab")])
def test_sockets_from_systemd_are_used_by_name(folder, names, order):
    made = {"a": bind(folder / "a"), "b": bind(folder / "b")}
    result = inherit(made["a"].sock.fileno(), made["b"].sock.fileno(), names=names)
    assert result.stdout.splitlines() == [
        f"control {folder / order[1]} None False",
        f"events {folder / order[0]} None False",
        "[]",
    ], result.stderr


def test_a_descriptor_from_systemd_that_is_no_listening_unix_socket_is_refused(folder):
    listener = bind(folder / "s")
    with open(os.devnull) as file, socket.socket(socket.AF_INET) as internet:
        for wrong in (file.fileno(), internet.fileno()):
            result = inherit(listener.sock.fileno(), wrong)
            assert "SocketError: systemd passed 'control'" in result.stderr
    listener.sock.close()


def test_variables_meant_for_another_process_are_ignored():
    assert inherited({"LISTEN_PID": "1", "LISTEN_FDS": "2"}) == {}
    assert inherited({}) == {}


async def test_a_server_that_cannot_bind_its_second_socket_removes_its_first(new_wire, folder):
    wire = new_wire()
    (folder / "ser-control.sock").write_text("")
    with pytest.raises(SerError):
        await wire.start()
    assert not wire.path.exists()


def test_clients_try_the_users_socket_first_unless_another_is_chosen(folder):
    environ = {"XDG_RUNTIME_DIR": "/run/user/7", "HOME": "/home/u"}
    users = runtime_directory(environ) / "ser.sock"
    assert os.fspath(users) == "/run/user/7/ser-daemon/ser.sock"
    assert candidate_sockets(None, environ) == [users, SYSTEM_SOCKET]
    chosen = {**environ, "SER_SOCKET": "/tmp/x.sock"}
    assert [os.fspath(path) for path in candidate_sockets(None, chosen)] == ["/tmp/x.sock"]
    assert candidate_sockets(folder, chosen) == [folder]


def test_without_a_runtime_directory_the_cache_folder_is_used():
    assert os.fspath(runtime_directory({"HOME": "/home/u"})) == "/home/u/.cache/ser-daemon"


def test_the_control_socket_is_in_the_folder_of_the_event_socket():
    assert control_socket(SYSTEM_SOCKET) == SYSTEM_SOCKET.with_name("ser-control.sock")


def test_settings_and_state_follow_the_xdg_folders_and_systemd():
    home = {"HOME": "/home/u"}
    assert [os.fspath(path) for path in config_files(home)] == [
        "/home/u/.config/ser-daemon/config.yaml",
        "/etc/ser-daemon/config.yaml",
    ]
    assert os.fspath(config_files({**home, "XDG_CONFIG_HOME": "/c"})[0]) == "/c/ser-daemon/config.yaml"
    assert os.fspath(state_directory(home)) == "/home/u/.local/state/ser-daemon"
    assert os.fspath(state_directory({**home, "XDG_STATE_HOME": "/s"})) == "/s/ser-daemon"
    assert os.fspath(state_directory({**home, "STATE_DIRECTORY": "/var/lib/a:/b"})) == "/var/lib/a"


def test_a_socket_from_systemd_with_an_unknown_name_is_refused(folder):
    made = bind(folder / "a"), bind(folder / "b")
    result = inherit(*(listener.sock.fileno() for listener in made), names="events:microphone")
    assert "named 'microphone'" in result.stderr
    for listener in made:
        listener.sock.close()
