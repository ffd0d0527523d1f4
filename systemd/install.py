"""Install ser-daemon as a service of the system or of a user, or remove it. Called by make.

The program gets its own virtual environment below `/opt/ser-daemon`, or `~/.local/share/ser-daemon` for a user. A new
environment is built beside the old one, and new files are written beside theirs. Only then are they put in place and
started. If a step fails, the old files are put back and the old program runs. Only the standard library is used,
because nothing else is installed yet.
"""

from __future__ import annotations

import argparse
import contextlib
import grp
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

import layout
import manager
from environment import SOURCE, build, require_python, run
from layout import InstallError, Target
from switch import Switch

SYSUSERS = SOURCE / "systemd/sysusers.d/ser-daemon.conf"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = build_parser().parse_args(argv)
    # The service's own user must be able to read the installed files, whatever the caller's umask is.
    os.umask(0o022)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    try:
        options.run(options, layout.user_target() if options.user else layout.system_target())
    except InstallError as error:
        print(f"ser-daemon: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"ser-daemon: {error.filename or 'The installation'}: {error.strerror}.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ser-daemon: Interrupted.", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0


def end(number: int, frame: FrameType | None) -> NoReturn:
    """End as after Ctrl-C, so that a half-made installation is undone."""
    raise SystemExit(128 + number)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description="Install ser-daemon as a service, or remove it.")
    commands = parser.add_subparsers(metavar="ACTION", required=True)
    command = commands.add_parser("install", help="install or upgrade the service")
    command.add_argument("--python", type=Path, default=Path("/usr/bin/python3"), help="runs the service")
    command.set_defaults(run=lambda options, target: install(target, options.python))
    remove = commands.add_parser("uninstall", help="remove the service")
    remove.add_argument("--purge", action="store_true", help="also remove settings, profiles, mute and groups")
    remove.set_defaults(run=lambda options, target: uninstall(target, purge=options.purge))
    for each in (command, remove):
        each.add_argument("--user", action="store_true", help="the service of a user, not of the machine")
    return parser


def install(target: Target, python: Path) -> None:
    """Install or upgrade the service, start it, and print a report."""
    manager.require_manager(target)
    require_python(python, target)
    environment = build(target, python)
    if target.sysusers is not None:
        run("make the groups", "systemd-sysusers", str(SYSUSERS))
    before = manager.read_state(target)
    new_config = activate(target, environment, before)
    if new_config is None:
        target.config.with_name("config.yaml.new").unlink(missing_ok=True)
    for old in target.program.glob("env-*"):
        if old != environment:
            shutil.rmtree(old, ignore_errors=True)
    report(target, new_config)


def activate(target: Target, environment: Path, before: manager.State) -> Path | None:
    """Put the new files in place and start the service; after a failure return to what was there.

    Returns:
        the new defaults, if they were put beside other settings
    """
    switch = Switch()
    committing = starting = False
    try:
        changed_units = add_units(switch, target)
        new_config = add_config(switch, target)
        add_links(switch, target)
        changed_program = add_program(switch, target, environment)
        committing = True
        switch.commit()
        manager.enable(target)
        starting = target.managed
        if starting:
            manager.start(target, before, changed_units=changed_units, changed_program=changed_program)
    except BaseException as error:
        lost = return_to(target, before, switch, committing=committing, starting=starting)
        if lost:
            reasons = "; ".join(map(str, lost))
            raise InstallError(f"{error} The previous installation could not be brought back: {reasons}") from error
        raise
    switch.finish()
    return new_config


def return_to(
    target: Target, before: manager.State, switch: Switch, *, committing: bool, starting: bool
) -> list[Exception]:
    """Bring the previous files back and start the units that ran; return what could not be done."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A second Ctrl-C must not stop halfway.
        signal.signal(number, signal.SIG_IGN)
    if not committing:
        return [*switch.undo()]
    lost: list[Exception] = []
    manager.withdraw(target, before, started=starting)
    lost += switch.undo()
    try:
        manager.resume(target, before)
    except InstallError as failure:
        lost.append(failure)
    return lost


def add_units(switch: Switch, target: Target) -> bool:
    """Add the units and the files that they use; return whether a unit changes."""
    switch.add_file(SOURCE / "systemd/start-backoff", target.program / "start-backoff", mode=0o755)
    switch.add_file(SOURCE / "docs/service.md", target.program / "service.md")
    if target.sysusers is not None:
        switch.add_file(SYSUSERS, target.sysusers)
    folder = SOURCE / "systemd" if target.user is None else SOURCE / "systemd/user"
    units = [path for path in sorted(folder.iterdir()) if path.suffix in (".service", ".socket")]
    changed = [switch.add_file(unit, target.units / unit.name) for unit in units]
    return any(changed)


def add_config(switch: Switch, target: Target) -> Path | None:
    """Add the config file. If another one exists, keep it and return the new file beside it."""
    default, new = SOURCE / "config.yaml", target.config.with_name("config.yaml.new")
    if target.config.exists() and target.config.read_bytes() != default.read_bytes():
        switch.add_file(default, new)
        return new
    switch.add_file(default, target.config)
    return None


def add_program(switch: Switch, target: Target, environment: Path) -> bool:
    """Let `bin` point into the new environment; return whether that is another one than before."""
    link = target.program / "bin"
    switch.add_link(link, Path(environment.name) / "bin")
    return not link.is_symlink() or link.resolve().parent != environment.resolve()


def add_links(switch: Switch, target: Target) -> None:
    """Link the commands into the search path; keep other programs of the same name."""
    for name in layout.COMMANDS:
        link, command = target.commands / name, target.program / "bin" / name
        if link.is_symlink() and link.readlink() == command:
            continue
        if link.is_symlink() or link.exists():
            print(f"{link} is another program and stays; this one is {command}.")
        else:
            switch.add_link(link, command)


def report(target: Target, new_config: Path | None) -> None:
    """Print where everything is, and what to type."""
    print(f"Installed: program in {target.program}, units in {target.units}, commands in {target.commands}.")
    print(f"Settings:            {target.config}, then: {' '.join(target.systemctl)} reload ser-daemon")
    if new_config is not None:
        print(f"Your settings stay as they are; the new defaults are in {new_config}.")
    if target.managed:
        manager.show_state(target)
    else:
        print("No service manager runs here: the service starts with the next boot or login.")
    if target.user is None:
        name = os.environ.get("SUDO_USER") or "USER"
        print(f"Who may listen:      sudo usermod -aG ser {name}          (from the next login on)")
        print(f"Who may also mute:   sudo usermod -aG ser-control {name}")
        print("To undo:             sudo make uninstall-service")
    else:
        print(layout.lingering_advice(target))
        print("To undo:             make uninstall-user-service")


def uninstall(target: Target, *, purge: bool) -> None:
    """Stop and remove the service. Settings, profiles and mute stay unless `purge` is set."""
    manager.stop(target)
    for link in (target.commands / name for name in layout.COMMANDS):
        if link.is_symlink() and link.readlink().parent == target.program / "bin":
            link.unlink()
    shutil.rmtree(target.program, ignore_errors=True)
    target.config.with_name("config.yaml.new").unlink(missing_ok=True)
    if target.sysusers is not None:
        target.sysusers.unlink(missing_ok=True)
    if not purge:
        kept = [str(path) for path in (target.config.parent, *layout.state_folders(target)) if path.exists()]
        if target.user is None:
            kept += [f"group {name}" for name in layout.GROUPS if has_group(name)]
        print(f"Removed. Kept: {', '.join(kept) or 'nothing'}; PURGE=1 removes these too.")
        return
    for folder in (target.config.parent, *layout.state_folders(target), *layout.drop_ins(target)):
        folder.unlink() if folder.is_symlink() else shutil.rmtree(folder, ignore_errors=True)
    if target.user is None:
        for name in filter(has_group, layout.GROUPS):
            run(f"remove the group {name}", "groupdel", name)
    print("Removed, with settings, profiles and everything else.")


def has_group(name: str) -> bool:
    """Whether the group exists."""
    with contextlib.suppress(KeyError):
        return bool(grp.getgrnam(name))
    return False


if __name__ == "__main__":
    sys.exit(main())
