"""The words of `ser-ctl` that install and remove the service and its bridges."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from ser_daemon.install import bridges, layout, service
from ser_daemon.install.files import Files, find_files
from ser_daemon.install.layout import Target

_INSTALL = """\
Install or upgrade the service, and start it. Without --user it belongs to the machine, listens from boot on, and needs
root. With --user it belongs to you and uses your session's sound server.

The service gets an environment of its own: this version of ser-daemon, and the exact versions of its dependencies,
which pip downloads and checks by their hashes. Settings, profiles and mute stay as they are.
"""
_UNINSTALL = "Stop and remove the service. Settings, profiles and mute stay, unless --purge is given."

_INSTALL_BRIDGE = """\
Install or upgrade bridges (mqtt, wyoming, ...) as services beside the daemon's, and start them. They share an
environment of their own: this version of ser-daemon, and the libraries of the bridges, which pip downloads.
"""


def add_commands(commands: Any) -> None:
    """Add these words to what `argparse.ArgumentParser.add_subparsers` returned.

    `options.run(options)` then does the work and returns the exit status.
    """
    add = commands.add_parser(
        "install-service",
        help="install or upgrade the service",
        description=_INSTALL,
        examples=(
            ("ser-ctl install-service --user", "a service of your own session"),
            ("sudo ser-ctl install-service", "a service of this machine"),
        ),
    )
    add.add_argument("--python", type=Path, help="what runs the service (default: /usr/bin/python3 if it fits)")
    add.set_defaults(run=_run_install)
    remove = commands.add_parser(
        "uninstall-service",
        help="remove the service",
        description=_UNINSTALL,
        examples=(("sudo ser-ctl uninstall-service --purge", "remove all that belongs to the machine's service"),),
    )
    remove.add_argument("--purge", action="store_true", help="also remove settings, profiles, mute and groups")
    remove.set_defaults(run=_run_uninstall)
    install_bridge = commands.add_parser(
        "install-bridge",
        help="install or upgrade bridges, such as mqtt",
        description=_INSTALL_BRIDGE,
        examples=(("sudo ser-ctl install-bridge mqtt", "results for an MQTT broker, from boot on"),),
    )
    install_bridge.add_argument("--python", type=Path, help="what runs them (default: as for install-service)")
    install_bridge.set_defaults(run=_run_install_bridge)
    remove_bridge = commands.add_parser(
        "uninstall-bridge",
        help="remove bridges",
        description="Stop and remove bridges. Their settings stay.",
        examples=(("sudo ser-ctl uninstall-bridge mqtt", "results go to the broker no more"),),
    )
    remove_bridge.set_defaults(run=_run_uninstall_bridge)
    for command in (install_bridge, remove_bridge):
        command.add_argument("names", nargs="+", metavar="NAME", help="mqtt, wyoming, ...")
    for command in (add, remove, install_bridge, remove_bridge):
        command.add_argument("--user", action="store_true", help="the service of a user, not of the machine")


def _run_install(options: argparse.Namespace) -> int:
    return _run(options, lambda target, files: service.install(target, files, options.python))


def _run_uninstall(options: argparse.Namespace) -> int:
    return _run(options, lambda target, files: service.uninstall(target, files, purge=options.purge))


def _run_install_bridge(options: argparse.Namespace) -> int:
    return _run(options, lambda target, files: bridges.install(target, files, options.names, options.python), own=False)


def _run_uninstall_bridge(options: argparse.Namespace) -> int:
    return _run(options, lambda target, files: bridges.uninstall(target, files, options.names), own=False)


def _run(options: argparse.Namespace, work: Callable[[Target, Files], None], *, own: bool = True) -> int:
    # The service's own user must be able to read the installed files, whatever the caller's umask is.
    os.umask(0o022)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    files = find_files()
    work(layout.user_target() if options.user else layout.system_target(files, daemon=own), files)
    return 0


def end(number: int, frame: FrameType | None) -> NoReturn:
    """End as after Ctrl-C, so that a half-made installation is undone."""
    raise SystemExit(128 + number)
