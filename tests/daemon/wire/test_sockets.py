"""Creating, inheriting and removing socket files."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
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
    lock_directory,
    runtime_directory,
    state_directory,
)
from ser_daemon.wire import server, socket_folder
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


@pytest.fixture
def shared(folder, monkeypatch):
    """A folder that every user may write to, such as /tmp."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", os.fspath(folder / "run"))
    (folder / "shared").mkdir()
    (folder / "shared").chmod(0o1777)
    return folder / "shared"


def test_nobody_else_can_hold_the_start_lock_of_a_shared_folder(shared, monkeypatch):
    monkeypatch.setattr(socket_folder, "_LOCK_SECONDS", 0.05)
    # Any user may open the folder, and lock it.
    fd = os.open(shared, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    listener = bind(shared / "s")
    assert connectable(shared / "s")
    assert stat.S_IMODE(os.stat(lock_directory()).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(lock_directory().parent).st_mode) == 0o700
    listener.sock.close()
    os.close(fd)


def test_two_daemons_in_a_shared_folder_use_the_same_lock(shared, monkeypatch):
    monkeypatch.setattr(socket_folder, "_LOCK_SECONDS", 0.05)
    bind(shared / "first").sock.close()
    fd = os.open(lock_directory(), os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    with pytest.raises(SocketError, match="locked"):
        bind(shared / "second")
    os.close(fd)


def test_a_folder_for_the_start_lock_that_others_can_open_is_refused(shared):
    lock_directory().mkdir(parents=True)
    lock_directory().chmod(0o755)
    with pytest.raises(SocketError, match="chmod 700"):
        bind(shared / "s")


@pytest.mark.parametrize("mode", [0o777, 0o707, 0o733])
def test_a_folder_in_which_others_could_replace_the_socket_is_refused(shared, mode):
    shared.chmod(mode)
    with pytest.raises(SocketError, match=r"^Other users may write to the socket folder .*--socket.*$"):
        bind(shared / "s")
    assert list(shared.iterdir()) == []


def test_a_folder_for_ones_own_group_is_accepted(shared):
    shared.chmod(0o770)
    bind(shared / "s").sock.close()


BIND = """
import os, sys
from pathlib import Path
from ser_daemon.wire.sockets import bind
changed = []
sys.addaudithook(lambda event, args: changed.append(args[0]) if event == "os.chmod" else None)
os.umask(0)
listener = bind(Path(sys.argv[1]))
print(oct(os.lstat(sys.argv[1]).st_mode), [path for path in changed if not isinstance(path, int)])
"""


def test_no_file_is_given_a_mode_by_its_name(folder):
    """Another user of a shared folder could have put any file of the daemon's user under that name."""
    result = subprocess.run([sys.executable, "-c", BIND, folder / "s"], capture_output=True, text=True, timeout=30)
    assert result.stdout == "0o140600 []\n", result.stderr


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
    assert inherited({"LISTEN_PID": str(os.getpid() + 1), "LISTEN_FDS": "2"}) == {}
    assert inherited({}) == {}


@pytest.mark.parametrize(
    "count", ["²", "٣", "-1", "+1", " 1", "1 ", "0x1", "1e3", "1_0", "99999999999", "one", "\udcff"]
)
def test_a_number_of_sockets_that_is_none_is_one_sentence(count):
    with pytest.raises(SocketError, match=r"LISTEN_FDS is .*; expected the number of sockets"):
        inherited({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count})


@pytest.mark.parametrize("pid", ["²", "", "-1", "0", "1e3", "x" * 100_000])
def test_a_process_id_that_is_not_this_process_is_ignored(pid):
    environ = {"LISTEN_PID": pid, "LISTEN_FDS": "²", "LISTEN_FDNAMES": ":::"}
    assert inherited(environ) == {}
    assert environ == {}


@pytest.mark.parametrize(
    ("count", "names", "text"),
    [
        ("3", None, "3 sockets"),
        ("2", "events", "1 names for 2 sockets"),
        ("1", "events:control", "2 names for 1 sockets"),
        ("1", "x" * 100_000, "named 'xxx"),
    ],
)
def test_names_that_do_not_fit_the_sockets_are_one_sentence(count, names, text):
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count}
    if names is not None:
        environ["LISTEN_FDNAMES"] = names
    with pytest.raises(SocketError, match=text) as caught:
        inherited(environ)
    assert len(str(caught.value)) < 300


def test_descriptors_that_are_not_open_are_one_sentence(folder):
    result = subprocess.run(
        [sys.executable, "-c", INHERIT.replace("os.dup2(a, 3), os.dup2(b, 4)", "os.closerange(3, 9)"), "0", "0"],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert "SocketError: systemd passed 'events', which is no socket" in result.stderr


async def test_a_socket_file_that_was_removed_is_made_again_and_no_client_notices(new_wire, monkeypatch, started):
    monkeypatch.setattr(server, "WATCH_SECONDS", 0.02)
    wire = new_wire()
    await wire.start()
    peer = await wire.listen()
    for path in (wire.path, wire.control_path):
        path.unlink()
        await wire.until(path.exists)
        assert stat.S_IMODE(os.lstat(path).st_mode) == 0o600
        await wire.until(lambda path=path: connectable(path))
        assert (await (await wire.connect(path)).line())["type"] == "hello"
    wire.publisher.publish(started)
    assert (await peer.line())["type"] == "voice-started"
    await wire.close()
    assert not wire.path.exists()


async def test_a_socket_file_that_another_daemon_has_replaced_is_left_to_it_and_said_once(
    new_wire, monkeypatch, caplog
):
    monkeypatch.setattr(server, "WATCH_SECONDS", 0.02)
    wire = new_wire()
    await wire.start()
    wire.path.unlink()
    other = socket.socket(socket.AF_UNIX)
    other.bind(os.fspath(wire.path))
    other.listen()
    await wire.until(lambda: "held by process" in caplog.text)
    await asyncio.sleep(0.1)
    assert caplog.text.count("cannot be made again") == 1
    other.close()
    # The other one is gone now.
    await wire.until(lambda: "it is there again" in caplog.text)
    assert (await (await wire.connect()).line())["type"] == "hello"
    await wire.close()


async def test_a_folder_that_was_removed_is_said_and_its_return_noticed(new_wire, monkeypatch, caplog, folder):
    monkeypatch.setattr(server, "WATCH_SECONDS", 0.02)
    wire = new_wire()
    (folder / "x").mkdir(mode=0o700)
    wire.path, wire.control_path = folder / "x" / "a", folder / "x" / "b"
    await wire.start()
    shutil.rmtree(folder / "x")
    await wire.until(lambda: "does not exist" in caplog.text)
    (folder / "x").mkdir(mode=0o700)
    await wire.until(wire.control_path.exists)
    await wire.close()


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
