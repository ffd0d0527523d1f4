"""Install ser-daemon as a service of the machine or of a user, or remove it; called by make.

The program gets an environment of its own below `/opt/ser-daemon` (a user's: `~/.local/share/ser-daemon`), built
beside the old one and put in its place by one rename: a step that fails changes nothing. Only the standard library
is used, for there is nothing else yet.
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
from layout import Place, Refused


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(description="Install ser-daemon as a service, or remove it.")
    parser.add_argument("action", choices=("install", "uninstall"))
    parser.add_argument("--user", action="store_true", help="the service of a user, not of the machine")
    parser.add_argument("--python", type=Path, default=Path("/usr/bin/python3"), help="runs the service")
    parser.add_argument("--purge", action="store_true", help="also remove settings, profiles, mute and groups")
    options = parser.parse_args(argv)
    # Whatever the caller's is: the service's own user has to read what is installed.
    os.umask(0o022)
    try:
        place = layout.of_user() if options.user else layout.of_machine()
        if options.action == "install":
            install(place, options.python)
        else:
            uninstall(place, purge=options.purge)
    except Refused as error:
        print(f"ser-daemon: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"ser-daemon: {error.filename or 'The installation'}: {error.strerror}.", file=sys.stderr)
        return 2
    return 0


def install(place: Place, python: Path) -> None:
    """Install or upgrade, start, and say what was done."""
    require_python(python, place)
    environment = build(place, python)
    changed_units = copy_units(place)
    new_config = copy_config(place)
    if place.sysusers is not None:
        copy(SOURCE / "systemd/sysusers.d/ser-daemon.conf", place.sysusers)
        run("make the groups", "systemd-sysusers", str(place.sysusers))
    previous = switch(place, environment)
    link_commands(place)
    started = layout.start(place, changed_units=changed_units, changed_program=previous != environment)
    for old in place.program.glob("env-*"):
        if old != environment:
            shutil.rmtree(old)
    report(place, new_config, started)


def copy_units(place: Place) -> bool:
    """Install units and what they refer to; True when a unit has changed."""
    copy(SOURCE / "systemd/start-backoff", place.program / "start-backoff", mode=0o755)
    copy(SOURCE / "docs/service.md", place.program / "service.md")
    folder = SOURCE / "systemd" if place.user is None else SOURCE / "systemd/user"
    units = [path for path in sorted(folder.iterdir()) if path.suffix in (".service", ".socket")]
    changed = [copy(unit, place.units / unit.name) for unit in units]
    return any(changed)


def copy_config(place: Place) -> Path | None:
    """Install the settings; where there are others, return the file beside them."""
    default, new = SOURCE / "config.yaml", place.config.with_name("config.yaml.new")
    if place.config.exists() and place.config.read_bytes() != default.read_bytes():
        copy(default, new)
        return new
    new.unlink(missing_ok=True)
    copy(default, place.config)
    return None


def copy(source: Path, target: Path, mode: int = 0o644) -> bool:
    """Copy a file in one step; False when it is the same already."""
    if target.is_file() and not target.is_symlink() and target.read_bytes() == source.read_bytes():
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_name(f".{target.name}.half")
    shutil.copyfile(source, half)
    half.chmod(mode)
    half.replace(target)
    return True


def switch(place: Place, environment: Path) -> Path | None:
    """Make `bin` lead into the new environment; return the one that it led into before."""
    link, half = place.program / "bin", place.program / ".bin.half"
    previous = link.resolve().parent if link.is_symlink() else None
    half.unlink(missing_ok=True)
    half.symlink_to(Path(environment.name) / "bin")
    half.replace(link)
    return previous


def link_commands(place: Place) -> None:
    """Put the commands where a shell finds them; never over somebody else's."""
    place.commands.mkdir(parents=True, exist_ok=True)
    for name in layout.COMMANDS:
        link, target = place.commands / name, place.program / "bin" / name
        if link.is_symlink() and link.readlink() == target:
            continue
        if link.is_symlink() or link.exists():
            print(f"{link} is another program and stays; this one is {target}.")
        else:
            link.symlink_to(target)


def report(place: Place, new_config: Path | None, started: bool) -> None:
    """Say what is where now, and what to type."""
    print(f"Installed: program in {place.program}, units in {place.units}, commands in {place.commands}.")
    print(f"Settings:            {place.config}, then: {' '.join(place.systemctl)} reload ser-daemon")
    if new_config is not None:
        print(f"Your settings stay as they are; the new defaults are in {new_config}.")
    if started:
        layout.show_state(place)
    else:
        print("No service manager runs here: the service starts with the next boot or login.")
    if place.user is None:
        name = os.environ.get("SUDO_USER") or "USER"
        print(f"Who may listen:      sudo usermod -aG ser {name}          (from the next login on)")
        print(f"Who may also mute:   sudo usermod -aG ser-control {name}")
        print("To undo:             sudo make uninstall-service")
    else:
        print(layout.lingering(place))
        print("To undo:             make uninstall-user-service")


def uninstall(place: Place, *, purge: bool) -> None:
    """Stop and remove; settings, profiles and mute stay unless they are to be purged."""
    layout.stop(place)
    for link in (place.commands / name for name in layout.COMMANDS):
        if link.is_symlink() and link.readlink().parent == place.program / "bin":
            link.unlink()
    shutil.rmtree(place.program, ignore_errors=True)
    place.config.with_name("config.yaml.new").unlink(missing_ok=True)
    if place.sysusers is not None:
        place.sysusers.unlink(missing_ok=True)
    if not purge:
        kept = [str(path) for path in (place.config.parent, *layout.state_folders(place)) if path.exists()]
        if place.user is None:
            kept += [f"group {name}" for name in layout.GROUPS if has_group(name)]
        print(f"Removed. Kept: {', '.join(kept) or 'nothing'}; PURGE=1 removes these too.")
        return
    for folder in (place.config.parent, *layout.state_folders(place), *layout.drop_ins(place)):
        folder.unlink() if folder.is_symlink() else shutil.rmtree(folder, ignore_errors=True)
    if place.user is None:
        for name in filter(has_group, layout.GROUPS):
            run(f"remove the group {name}", "groupdel", name)
    print("Removed, with settings, profiles and everything else.")


def has_group(name: str) -> bool:
    """Whether there is such a group."""
    with contextlib.suppress(KeyError):
        return bool(grp.getgrnam(name))
    return False


if __name__ == "__main__":
    sys.exit(main())
