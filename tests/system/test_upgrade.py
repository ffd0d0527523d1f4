"""Install, upgrade and remove the service of the system and of a user."""

from __future__ import annotations

import subprocess

from ser_daemon.client import Client
from support.box import wait_until
from system.conftest import ROOT, Machine

_FAILING = """#!/bin/sh
# The call of this number fails, whichever command it is; the others are the real ones.
count=$(($(cat /failing/count) + 1))
echo $count >/failing/count
if [ $count = $(cat /failing/number) ]; then
    echo "injected into ${0##*/} $*" >&2
    exit 1
fi
exec /usr/bin/${0##*/} "$@"
"""


def test_an_upgrade_keeps_the_users_files(service: Machine) -> None:
    files = {
        "/etc/ser-daemon/config.yaml": "gate: {hangover_ms: 800}\n",
        "/etc/ser-daemon/profiles/mic.yaml": "format: 1\n",
    }
    for name, text in files.items():
        service.box.path(name).parent.mkdir(exist_ok=True)
        service.box.path(name).write_text(text)
    service.ctl("mute", user="controller")
    before = service.pid()
    source = service.box.path("/usr/src/ser-daemon/daemon/ser_daemon/__init__.py")
    source.write_text(source.read_text() + "# newer\n")
    output = service.make("install-service")
    assert "the new defaults are in /etc/ser-daemon/config.yaml.new" in output
    assert "To undo:             sudo make uninstall-service" in output
    service.wait_for("muted")
    assert service.pid() != before
    assert {name: service.box.path(name).read_text() for name in files} == files
    assert service.box.path("/etc/ser-daemon/config.yaml.new").read_bytes() == (ROOT / "config.yaml").read_bytes()
    assert len(list(service.box.path("/opt/ser-daemon").glob("env-*"))) == 1
    # Without changes, another upgrade does not restart the service.
    before = service.pid()
    assert "is up to date" in service.make("install-service")
    assert service.pid() == before


def test_an_upgrade_that_fails_changes_nothing(service: Machine) -> None:
    lock = service.box.path("/usr/src/ser-daemon/systemd/requirements.txt")
    good = lock.read_text()
    before = service.pid()
    lock.write_text(good.replace("--hash=sha256:", "--hash=sha256:0123456789abcdef")[: len(good)])
    done = service.try_make("install-service")
    lock.write_text(good)
    assert done.returncode != 0
    assert "ser-daemon: Could not install what it needs" in done.stderr
    assert "Expected     or 0123456789abcdef" in done.stderr
    assert (service.pid(), service.state()) == (before, "no-device")


def installed(machine: Machine) -> dict[str, str | bytes]:
    """Return everything of the installation but the environments, which lie beside each other."""
    found: dict[str, str | bytes] = {}
    roots = ("/opt/ser-daemon", "/etc/systemd/system", "/etc/ser-daemon", "/etc/sysusers.d", "/usr/local/bin")
    for root in map(machine.box.path, roots):
        for path in root.iterdir():
            if "ser-" in str(path) and path.is_symlink():
                found[str(path)] = str(path.readlink())
            elif "ser-" in str(path) and path.is_file():
                found[str(path)] = path.read_bytes()
    return found


def install_with_a_failure(machine: Machine, number: int) -> subprocess.CompletedProcess[str]:
    """Install while the system command of this number fails."""
    folder = machine.box.path("/failing")
    folder.mkdir(exist_ok=True)
    for name in ("systemctl", "systemd-sysusers"):
        (folder / name).write_text(_FAILING)
        (folder / name).chmod(0o755)
    (folder / "count").write_text("0")
    (folder / "number").write_text(str(number))
    return machine.try_make("install-service", "PATH=/failing:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")


def test_whichever_command_fails_the_old_service_runs_on(service: Machine) -> None:
    source = service.box.path("/usr/src/ser-daemon")
    for path in (source / "daemon/ser_daemon/__init__.py", source / "systemd/ser-daemon.socket"):
        path.write_text(path.read_text() + "# newer still\n")
    before = installed(service)
    commands = []
    for number in range(1, 30):
        done = install_with_a_failure(service, number)
        if "injected" not in done.stdout + done.stderr:
            assert done.returncode == 0, done.stderr
            break
        commands.append((done.stdout + done.stderr).partition("injected into ")[2].split("\n")[0].partition(";")[0])
        if commands[-1].startswith("systemctl show"):
            # Of the report: everything is installed and runs.
            assert done.returncode == 0
            break
        assert done.returncode != 0
        assert done.stderr.count("ser-daemon: ") == 1
        assert installed(service) == before, commands[-1]
        service.wait_for("no-device")
        environment = service.box.path("/opt/ser-daemon/bin").readlink().parts[0]
        assert environment in service.box.run("cat", f"/proc/{service.pid()}/cmdline").stdout
    print("failed in turn:", *commands, sep="\n  ")
    verbs = {command.removeprefix("systemctl ").removeprefix("--quiet ").split()[0] for command in commands}
    assert {"systemd-sysusers", "list-units", "daemon-reload", "enable", "stop", "start"} <= verbs
    assert installed(service) != before
    service.wait_for("no-device")


def test_a_new_program_that_does_not_start_is_taken_back(service: Machine) -> None:
    main = service.box.path("/usr/src/ser-daemon/daemon/ser_daemon/cli/daemon.py")
    good = main.read_text()
    main.write_text("raise SystemExit('does not start')\n")
    before = installed(service)
    done = service.try_make("install-service")
    main.write_text(good)
    assert done.returncode != 0
    assert "ser-daemon: systemctl restart ser-daemon.service" in done.stderr
    assert installed(service) == before
    service.wait_for("no-device")


def test_a_user_installs_a_service_of_the_session(machine: Machine) -> None:
    machine.box.run("loginctl", "enable-linger", "desktop")
    uid = machine.box.run("id", "-u", "desktop").stdout.strip()
    manager = machine.box.path(f"/run/user/{uid}/systemd/private")
    assert manager.exists() or machine.box.run("systemctl", "start", f"user@{uid}").returncode == 0
    output = machine.make("install-user-service", user="desktop")
    assert "It runs." in output
    assert "lingering is on" in output
    socket = machine.box.path(f"/run/user/{uid}/ser-daemon/ser.sock")
    assert socket.stat().st_mode & 0o777 == 0o600
    environ = ["env", f"XDG_RUNTIME_DIR=/run/user/{uid}"]
    done = machine.box.run(*environ, "/home/desktop/.local/bin/ser-ctl", "status", user="desktop")
    assert "state" in done.stdout
    machine.plug_in()
    client = Client(socket)
    wait_until(lambda: client.request("status")["state"] == "listening", 20, "the user's service to listen")
    machine.box.run(*environ, "systemctl", "--user", "reload", "ser-daemon", user="desktop")
    assert "Removed" in machine.make("uninstall-user-service", "PURGE=1", user="desktop")
    find = "find /home/desktop /run/user -name '*ser-daemon*' -o -name 'ser-*'"
    assert machine.box.run("sh", "-c", find).stdout == ""


def test_removal_keeps_settings_and_purging_leaves_no_files(service: Machine) -> None:
    service.ctl("mute", user="controller")
    output = service.make("uninstall-service")
    assert "Kept: /etc/ser-daemon" in output
    assert "PURGE=1 removes these too" in output
    assert service.state() == "unreachable"
    assert service.config.exists()
    assert service.box.path("/var/lib/private/ser-daemon/muted").exists()
    assert not service.box.path("/opt/ser-daemon").exists()
    service.make("uninstall-service", "PURGE=1")
    # All files that were written in the box, without the sources. Removed files appear as character devices.
    left = f"find /changed /run /tmp \\( -path /changed/usr/src -o -path {ROOT} \\) -prune -o ! -type c "
    left += "\\( -name 'ser-*' -o -name '*ser-daemon*' \\) ! -name 'user-*' -print"
    assert service.box.run("sh", "-c", left).stdout == ""
    assert service.box.run("getent", "group", "ser", "ser-control", check=False).stdout == ""
    assert service.box.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "ser-daemon*").stdout == ""
    # A first installation that fails at its start leaves the environment, for the next attempt, and the groups.
    done = install_with_a_failure(service, 5)
    assert "ser-daemon: systemctl start ser-daemon.socket" in done.stderr
    found = service.box.run("sh", "-c", left).stdout.split()
    own = "/changed/opt/ser-daemon"
    assert [path for path in found if path != own and not path.startswith(f"{own}/env-")] == []
    assert service.box.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "ser-daemon*").stdout == ""
    service.make("uninstall-service", "PURGE=1")
    assert service.box.run("sh", "-c", left).stdout == ""
