"""The installed service under a real systemd: boot, permissions, reload, faults and sandbox."""

from __future__ import annotations

import contextlib
import re
import subprocess

from ser_daemon.client import AudioState, Emotion, NotRunning
from support.box import wait_until
from support.speech import SYNTHETIC_SPEECH
from system.conftest import Machine

RESTART_SECONDS = 3.0
"""Bound for the time after a crash until the socket is served again."""


def test_it_is_ready_soon_after_boot_without_a_microphone(machine: Machine) -> None:
    machine.wait_for("no-device")
    # Times of the start at boot in microseconds; the service was not restarted yet.
    times = machine.box.show("ser-daemon.service", "InactiveExitTimestampMonotonic", "ActiveEnterTimestampMonotonic")
    seconds = (int(times["ActiveEnterTimestampMonotonic"]) - int(times["InactiveExitTimestampMonotonic"])) / 1e6
    print(f"ready {seconds:.2f} s after the start (bound 2 s)")
    assert 0 < seconds < 2
    shown = machine.box.show("ser-daemon.service", "StatusText", "NRestarts", "SubState")
    assert shown["StatusText"].startswith("No microphone (default): There is no capture device")
    assert (shown["NRestarts"], shown["SubState"]) == ("0", "running")
    failed = machine.box.run("systemctl", "list-units", "--failed", "--plain", "--no-legend", "ser-daemon*").stdout
    assert failed == ""


def test_the_log_names_the_sockets_that_systemd_made(machine: Machine) -> None:
    log = machine.box.journal("ser-daemon.service")
    assert "Serving /run/ser-daemon/ser.sock and /run/ser-daemon/ser-control.sock with model" in log
    assert "Traceback" not in log


def test_only_group_members_can_listen(service: Machine) -> None:
    watch = service.box.command("ser-watch", "--json", user="member")
    with subprocess.Popen(watch, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert '"hello"' in process.stdout.readline()
        process.terminate()
    code, text = service.ctl("status", user="stranger")
    assert code == 2
    assert "may not connect to /run/ser-daemon/ser.sock" in text
    assert "usermod -aG ser $USER" in text


def test_only_members_of_the_control_group_can_control(service: Machine) -> None:
    code, text = service.ctl("mute", user="member")
    assert code == 2
    assert "may not connect to /run/ser-daemon/ser-control.sock" in text
    assert "usermod -aG ser-control $USER" in text
    assert service.state() == "no-device"
    assert service.ctl("mute", user="controller")[0] == 0
    assert service.state() == "muted"


def test_reload_applies_good_settings(service: Machine) -> None:
    service.settings("gate: {hangover_ms: 900}\n")
    pid = service.pid()
    service.box.run("systemctl", "reload", "ser-daemon")
    applied = "Reloaded; changed: gate.hangover_ms."
    wait_until(lambda: applied in service.box.journal("ser-daemon.service"), 5, "what changed in the log")
    assert service.pid() == pid
    assert service.box.show("ser-daemon.service", "SubState") == {"SubState": "running"}


def test_reload_fails_for_broken_settings_and_keeps_the_old_ones(service: Machine) -> None:
    service.settings('gate: {hangover_ms: "soon"}\n')
    pid = service.pid()
    done = service.box.run("systemctl", "reload", "ser-daemon", check=False)
    assert done.returncode != 0
    reason = "The old configuration stays in force: /etc/ser-daemon/config.yaml:1: gate.hangover_ms: expected"
    wait_until(lambda: reason in service.box.journal("ser-daemon.service"), 5, "the reason in the log")
    assert (service.pid(), service.state()) == (pid, "no-device")


def test_a_killed_service_is_restarted(service: Machine) -> None:
    pid = service.pid()
    service.box.run("kill", "-KILL", str(pid))
    seconds = wait_until(lambda: service.pid() not in (0, pid) and service.state() == "no-device", 20, "served again")
    print(f"served {seconds:.2f} s after SIGKILL (bound {RESTART_SECONDS:g} s)")
    assert seconds < RESTART_SECONDS


def test_sigterm_is_reported_to_subscribers_and_the_service_restarts(service: Machine) -> None:
    pid = service.pid()
    seen = []
    with service.client() as client, contextlib.suppress(NotRunning):
        for event in client.subscribe():
            if not seen:
                service.box.run("kill", "-TERM", str(pid))
            seen.append(event)
    assert isinstance(seen[-1], AudioState)
    assert seen[-1].state == "stopping"
    wait_until(
        lambda: service.pid() not in (0, pid) and service.state() == "no-device", RESTART_SECONDS, "served again"
    )


def test_a_stopped_process_is_restarted_by_the_watchdog(service: Machine) -> None:
    pid = service.pid()
    watchdog = int(service.box.show("ser-daemon.service", "WatchdogUSec")["WatchdogUSec"].removesuffix("s"))
    service.box.run("kill", "-STOP", str(pid))
    # The watchdog interval, then 5 s until SIGABRT counts as ignored.
    seconds = wait_until(lambda: service.pid() not in (0, pid), watchdog + 10, "restarted")
    print(f"restarted {seconds:.1f} s after SIGSTOP (watchdog {watchdog} s)")
    service.wait_for("no-device")


def test_mute_survives_a_restart(service: Machine) -> None:
    service.ctl("mute", user="controller")
    service.box.run("systemctl", "restart", "ser-daemon")
    service.wait_for("muted")
    assert service.box.show("ser-daemon.service", "StatusText")["StatusText"].startswith("Muted")
    service.ctl("unmute", user="controller")
    service.wait_for("no-device")


def test_a_lasting_failure_is_retried_ever_slower_without_end(service: Machine) -> None:
    service.settings("nonsense: true\n")
    service.box.run("systemctl", "kill", "--signal=KILL", "ser-daemon.service")
    wait_until(lambda: "; waiting 2 s." in service.box.journal("ser-daemon.service"), 40, "the start backoff")
    assert "config.yaml:1: nonsense: unknown" in service.box.journal("ser-daemon.service")
    service.settings("gate: {hangover_ms: 700}\n")
    service.wait_for("no-device")


def test_a_second_microphone_is_a_second_instance(service: Machine) -> None:
    service.box.path("/etc/ser-daemon/kitchen.yaml").write_text("audio: {device: kitchen}\n")
    service.box.run("systemctl", "enable", "--now", "ser-daemon@kitchen")
    service.wait_for("no-device", name="kitchen")
    assert service.client("kitchen").request("status")["device"] == "kitchen"
    service.box.run("ser-ctl", "--socket", "/run/ser-daemon/kitchen.sock", "mute", user="controller")
    assert (service.state("kitchen"), service.state()) == ("muted", "no-device")
    service.box.run("systemctl", "reload", "ser-daemon@kitchen")


def test_a_new_microphone_is_used(service: Machine) -> None:
    service.plug_in()
    seconds = service.wait_for("listening")
    print(f"listening {seconds:.2f} s after the microphone's arrival (bound 2 s)")
    assert seconds < 2
    assert service.box.show("ser-daemon.service", "StatusText")["StatusText"] == "Listening on default."
    service.box.run("systemctl", "stop", "microphone")
    assert service.wait_for("no-device") < 2


def test_speech_is_recognised_under_the_sandbox(service: Machine) -> None:
    service.plug_in()
    service.pactl("set-default-source", "null.monitor")
    service.box.run("systemctl", "restart", "ser-daemon")
    service.wait_for("listening")
    with service.client(timeout=20) as client:
        player = service.play(SYNTHETIC_SPEECH)
        assert any(isinstance(event, Emotion) and event.final for event in client.subscribe())
        player.kill()
        player.wait()


def test_the_sandbox_holds(service: Machine) -> None:
    pid = service.pid()
    status = service.box.run("cat", f"/proc/{pid}/status").stdout
    fields = dict(re.findall(r"^(\w+):\s*(.*)$", status, re.MULTILINE))
    assert (fields["CapBnd"], fields["NoNewPrivs"], fields["Seccomp"]) == ("0000000000000000", "1", "2")
    uid = fields["Uid"].split()[0]
    assert int(uid) > 60_000

    def inside(script: str) -> str:
        """Run a script with the service's view of files and network, and its user."""
        enter = ["nsenter", "--target", str(pid), "--mount", "--net", "--"]
        become = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "sh", "-c"]
        return service.box.run(*enter, *become, script, check=False).stdout

    # The service sees its own processes only, with those of the script.
    owners = "for p in /proc/[0-9]*; do stat -c %u $p; done 2>/dev/null | sort -u"
    assert inside(owners).split() == [uid]
    assert inside("ls /sys/class/net; cat /proc/net/dev | grep -c :").split()[-1] == "1"
    assert inside("ls -A /home /root 2>/dev/null").split() in ([], ["/home:", "/root:"])
    assert "processor" in inside("cat /proc/cpuinfo")
    writable = inside("find / -xdev -type d -writable 2>/dev/null; find /run /var -type d -writable 2>/dev/null")
    allowed = ("/tmp", "/var/tmp", "/var/lib/private/ser-daemon", "/run/private/ser-daemon-starts", "/run/lock")
    assert [path for path in writable.split() if not path.startswith(allowed)] == []
    # Only the header line: there is no inet socket.
    for table in ("tcp", "udp", "raw", "tcp6", "udp6"):
        assert service.box.run("wc", "-l", f"/proc/{pid}/net/{table}").stdout.split()[0] in ("0", "1")


def test_the_running_systemd_rates_the_sandbox_as_safe(machine: Machine) -> None:
    # The threshold has no decimal point: 6 stands for 0.6 of 10.
    words = ["systemd-analyze", "security", "--threshold=6", "--no-pager", "ser-daemon.service"]
    rating = machine.box.run(*words).stdout.strip().splitlines()[-1]
    print(machine.box.run("systemctl", "--version").stdout.splitlines()[0], rating)
