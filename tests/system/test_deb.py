"""The Debian package under a real systemd: installed, upgraded, removed and purged. `SER_DEB` names the package."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ser_daemon.client import Client, RequestFailed
from ser_model.errors import SerError
from support.box import Box, box, unavailable_reason, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def package() -> Path:
    given = os.environ.get("SER_DEB")
    if not given:
        pytest.skip("SER_DEB names no package; make deb builds one, which takes minutes")
    return Path(given).resolve(strict=True)


@pytest.fixture(scope="module")
def newer(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same package with a higher version and one more file, beside the package, where the box can read it."""
    tree = tmp_path_factory.mktemp("newer") / "tree"
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    control = tree / "DEBIAN/control"
    control.write_text(control.read_text().replace("\nVersion: ", "\nVersion: 9:"))
    (tree / "opt/ser-daemon/newer").write_text("")
    target = package.with_name("newer.deb")
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, target], check=True)
    return target


@pytest.fixture(scope="module")
def inside(package: Path) -> Iterator[Box]:
    if reason := unavailable_reason():
        pytest.skip(reason)
    # Images of containers forbid packages to start services.
    with box("rm -f /usr/sbin/policy-rc.d", package.parent) as made:
        made.boot()
        yield made
        (package.parent / "newer.deb").unlink(missing_ok=True)


def state(inside: Box) -> str:
    try:
        return str(Client(inside.path("/run/ser-daemon/ser.sock"), timeout=2).request("status")["state"])
    except (SerError, RequestFailed, OSError):
        return "unreachable"


def dpkg(inside: Box, *words: str) -> None:
    inside.run("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", *words, timeout=300)


def maintainer_script(inside: Box, name: str, *words: str) -> None:
    inside.run(
        "env", "DPKG_MAINTSCRIPT_PACKAGE=ser-daemon", f"/var/lib/dpkg/info/ser-daemon.{name}", *words, timeout=120
    )


def test_lintian_finds_no_error(package: Path) -> None:
    if shutil.which("lintian") is None:
        pytest.skip("there is no lintian here")
    done = subprocess.run(
        ["lintian", "--allow-root", "--fail-on=error", package],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_package_runs_is_upgraded_and_leaves_nothing(inside: Box, package: Path, newer: Path) -> None:
    dpkg(inside, "--install", str(package))
    wait_until(lambda: state(inside) == "no-device", 20, "the service")
    assert inside.run("systemctl", "is-enabled", "ser-daemon.service", "ser-daemon.socket").stdout.split() == [
        "enabled",
        "enabled",
    ]
    inside.run("ser-ctl", "mute")
    inside.path("/etc/ser-daemon/config.yaml").write_text("gate: {hangover_ms: 800}\n")
    inside.path("/etc/ser-daemon/kitchen.yaml").write_text("audio: {device: kitchen}\n")
    inside.run("systemctl", "enable", "--now", "ser-daemon@kitchen")
    dpkg(inside, "--install", "--force-confold", str(newer))
    wait_until(lambda: state(inside) == "muted", 20, "the muted service after the upgrade")
    assert inside.path("/opt/ser-daemon/newer").exists()
    assert inside.path("/etc/ser-daemon/config.yaml").read_text() == "gate: {hangover_ms: 800}\n"
    assert inside.run("systemctl", "is-active", "ser-daemon@kitchen").stdout.strip() == "active"
    # dpkg may call them again after an interruption.
    for _ in range(2):
        maintainer_script(inside, "postinst", "configure", "1")
    assert state(inside) == "muted"
    for _ in range(2):
        maintainer_script(inside, "prerm", "remove")
    assert state(inside) == "unreachable"
    maintainer_script(inside, "postinst", "abort-remove")
    wait_until(lambda: state(inside) == "muted", 20, "the service after a removal that was given up")

    done = inside.run("ser-ctl", "install-service", check=False)
    assert done.returncode == 2
    assert "belongs to the Debian package ser-daemon: upgrade or remove it with apt" in done.stderr

    dpkg(inside, "--remove", "ser-daemon")
    assert state(inside) == "unreachable"
    assert inside.path("/var/lib/private/ser-daemon/muted").exists()
    assert not inside.path("/opt/ser-daemon").exists()
    dpkg(inside, "--purge", "ser-daemon")
    left = "find /changed /run \\( -path /changed/var/lib/dpkg -o -path /changed/var/log \\) -prune -o ! -type c "
    left += "\\( -name 'ser-*' -o -name '*ser-daemon*' \\) ! -name 'user-*' -print"
    assert inside.run("sh", "-c", left).stdout == ""
    assert inside.run("getent", "group", "ser", "ser-control", check=False).stdout == ""
    assert inside.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "ser-daemon*").stdout == ""


def test_settings_of_another_program_stay_and_the_log_names_what_is_wrong(inside: Box, package: Path) -> None:
    config = inside.path("/etc/ser-daemon/config.yaml")
    config.parent.mkdir(exist_ok=True)
    config.write_text("foreign: 1\n")
    dpkg(inside, "--install", "--force-confold", str(package))
    assert config.read_text() == "foreign: 1\n"
    reason = "/etc/ser-daemon/config.yaml:1: foreign: unknown section"
    wait_until(lambda: reason in inside.journal("ser-daemon.service"), 20, "the reason")
    config.write_text("gate: {hangover_ms: 700}\n")
    wait_until(lambda: state(inside) == "no-device", 30, "the service with corrected settings")


@pytest.mark.parametrize(
    "removed",
    [
        "/opt/ser-daemon/env/lib/python3*/site-packages/onnxruntime",
        "/opt/ser-daemon",
        "/lib/systemd/system/ser-daemon.service /lib/systemd/system/ser-daemon.socket",
    ],
)
def test_over_a_half_removed_package_it_installs_and_purges(inside: Box, package: Path, removed: str) -> None:
    dpkg(inside, "--install", "--force-confnew", str(package))
    inside.run("sh", "-c", f"rm -r {removed}")
    dpkg(inside, "--install", "--force-confnew", str(package))
    wait_until(lambda: state(inside) == "no-device", 20, "the service")
    inside.run("sh", "-c", f"rm -r {removed}")
    dpkg(inside, "--purge", "ser-daemon")
    assert state(inside) == "unreachable"
    assert inside.run("pgrep", "-f", "[s]er-daemon --service", check=False).stdout == ""
    for path in ("/opt/ser-daemon", "/etc/ser-daemon", "/var/lib/ser-daemon", "/run/ser-daemon"):
        assert not inside.path(path).exists(), path


def test_a_service_of_ser_ctl_is_not_overwritten(inside: Box, package: Path) -> None:
    unit = inside.path("/etc/systemd/system/ser-daemon.service")
    unit.write_text("[Service]\nExecStart=/bin/true\n")
    done = inside.run("dpkg", "--install", str(package), check=False, timeout=300)
    unit.unlink()
    assert done.returncode != 0
    assert "remove it first: sudo ser-ctl uninstall-service" in done.stderr
    assert not inside.path("/opt/ser-daemon").exists()
