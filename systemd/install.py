"""Install ser-daemon as a service of the system or of a user, or remove it. Called by make.

The program gets its own virtual environment below `/opt/ser-daemon`, or `~/.local/share/ser-daemon` for a user. A new
environment is built beside the old one and activated by one rename, so a failed step changes nothing. Only the
standard library is used, because nothing else is installed yet.
"""

from __future__ import annotations

import argparse
import contextlib
import grp
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import layout
from environment import SOURCE, build, require_python, run
from layout import InstallError, Target


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = build_parser().parse_args(argv)
    # The service's own user must be able to read the installed files, whatever the caller's umask is.
    os.umask(0o022)
    try:
        options.run(options, layout.user_target() if options.user else layout.system_target())
    except InstallError as error:
        print(f"ser-daemon: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"ser-daemon: {error.filename or 'The installation'}: {error.strerror}.", file=sys.stderr)
        return 2
    return 0


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
    require_python(python, target)
    environment = build(target, python)
    changed_units = copy_units(target)
    new_config = copy_config(target)
    if target.sysusers is not None:
        copy(SOURCE / "systemd/sysusers.d/ser-daemon.conf", target.sysusers)
        run("make the groups", "systemd-sysusers", str(target.sysusers))
    previous = switch(target, environment)
    link_commands(target)
    started = layout.start(target, changed_units=changed_units, changed_program=previous != environment)
    for old in target.program.glob("env-*"):
        if old != environment:
            shutil.rmtree(old)
    report(target, new_config, started)


def copy_units(target: Target) -> bool:
    """Install the units and the files that they use; return whether a unit has changed."""
    copy(SOURCE / "systemd/start-backoff", target.program / "start-backoff", mode=0o755)
    copy(SOURCE / "docs/service.md", target.program / "service.md")
    folder = SOURCE / "systemd" if target.user is None else SOURCE / "systemd/user"
    units = [path for path in sorted(folder.iterdir()) if path.suffix in (".service", ".socket")]
    changed = [copy(unit, target.units / unit.name) for unit in units]
    return any(changed)


def copy_config(target: Target) -> Path | None:
    """Install the config file. If another one exists, keep it and return the new file beside it."""
    default, new = SOURCE / "config.yaml", target.config.with_name("config.yaml.new")
    if target.config.exists() and target.config.read_bytes() != default.read_bytes():
        copy(default, new)
        return new
    new.unlink(missing_ok=True)
    copy(default, target.config)
    return None


def copy(source: Path, copied: Path, mode: int = 0o644) -> bool:
    """Copy a file atomically; return `False` if the copy is up to date."""
    if copied.is_file() and not copied.is_symlink() and copied.read_bytes() == source.read_bytes():
        return False
    copied.parent.mkdir(parents=True, exist_ok=True)
    temporary = copied.with_name(f".{copied.name}.half")
    shutil.copyfile(source, temporary)
    temporary.chmod(mode)
    temporary.replace(copied)
    return True


def switch(target: Target, environment: Path) -> Path | None:
    """Let `bin` point into the new environment; return the previous environment."""
    link, temporary = target.program / "bin", target.program / ".bin.half"
    previous = link.resolve().parent if link.is_symlink() else None
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(Path(environment.name) / "bin")
    temporary.replace(link)
    return previous


def link_commands(target: Target) -> None:
    """Link the commands into the search path; keep other programs of the same name."""
    target.commands.mkdir(parents=True, exist_ok=True)
    for name in layout.COMMANDS:
        link, command = target.commands / name, target.program / "bin" / name
        if link.is_symlink() and link.readlink() == command:
            continue
        if link.is_symlink() or link.exists():
            print(f"{link} is another program and stays; this one is {command}.")
        else:
            link.symlink_to(command)


def report(target: Target, new_config: Path | None, started: bool) -> None:
    """Print where everything is, and what to type."""
    print(f"Installed: program in {target.program}, units in {target.units}, commands in {target.commands}.")
    print(f"Settings:            {target.config}, then: {' '.join(target.systemctl)} reload ser-daemon")
    if new_config is not None:
        print(f"Your settings stay as they are; the new defaults are in {new_config}.")
    if started:
        layout.show_state(target)
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
    layout.stop(target)
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
