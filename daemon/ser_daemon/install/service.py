"""Install ser-daemon as a service of the system or of a user, or remove it.

The program gets its own virtual environment below `/opt/ser-daemon`, or `~/.local/share/ser-daemon` for a user. A new
environment is built beside the old one, and new files are written beside theirs. Only then are they put in place and
started. If a step fails, the old files are put back and the old program runs.
"""

from __future__ import annotations

import contextlib
import grp
import os
import shutil
import signal
import subprocess
from pathlib import Path

from ser_daemon.install import layout, manager
from ser_daemon.install.environment import build, choose_python, run
from ser_daemon.install.files import Files, InstallError
from ser_daemon.install.layout import Target
from ser_daemon.install.switch import Switch

_READ_SETTINGS = """
import sys
from pathlib import Path
from ser_daemon.config.loading import load_config
from ser_model.errors import SerError
try:
    load_config(environ={}, default_files=[Path(sys.argv[1])])
except SerError as error:
    sys.exit(str(error))
"""


def install(target: Target, files: Files, python: Path | None = None) -> None:
    """Install or upgrade the service, start it, and print a report."""
    manager.require_manager(target)
    environment = build(target, files, choose_python(python, files, target))
    check_settings(target, environment)
    if target.sysusers is not None:
        run("make the groups", "systemd-sysusers", str(files.sysusers))
    before = manager.read_state(target)
    new_config = activate(target, files, environment, before)
    if new_config is None:
        target.config.with_name("config.yaml.new").unlink(missing_ok=True)
    for old in target.program.glob("env-*"):
        if old != environment:
            shutil.rmtree(old, ignore_errors=True)
    report(target, files, new_config)


def check_settings(target: Target, environment: Path) -> None:
    """Check that the new program can read the settings that are there already.

    Raises:
        InstallError: It cannot; nothing was changed.
    """
    if not os.path.lexists(target.config):
        return
    command = [str(environment / "bin/python"), "-I", "-c", _READ_SETTINGS, str(target.config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    reason = (done.stderr.strip().splitlines() or ["unknown"])[-1]
    if not done.returncode and target.user is None and not target.config.stat().st_mode & 0o004:
        reason = f"{target.config}: the service runs as another user, which may not read it: chmod a+r {target.config}"
    elif not done.returncode:
        return
    raise InstallError(f"Nothing was changed, as the service could not use its settings: {reason}")


def activate(target: Target, files: Files, environment: Path, before: manager.State) -> Path | None:
    """Put the new files in place and start the service; after a failure return to what was there.

    Returns:
        the new defaults, if they were put beside other settings
    """
    switch = Switch()
    committing = starting = False
    try:
        changed_units = add_units(switch, target, files)
        new_config = add_config(switch, target, files)
        add_links(switch, target, environment)
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


def add_units(switch: Switch, target: Target, files: Files) -> bool:
    """Add the units and the files that they use; return whether a unit changes."""
    switch.add_file(files.root / "systemd/start-backoff", target.program / "start-backoff", mode=0o755)
    switch.add_file(files.root / "docs/service.md", target.program / "service.md")
    if target.sysusers is not None:
        switch.add_file(files.sysusers, target.sysusers)
    folder = files.root / ("systemd" if target.user is None else "systemd/user")
    units = [path for path in sorted(folder.iterdir()) if path.suffix in (".service", ".socket")]
    changed = [switch.add_file(unit, target.units / unit.name) for unit in units]
    return any(changed)


def add_config(switch: Switch, target: Target, files: Files) -> Path | None:
    """Add the config file. If another one exists, keep it and return the new file beside it."""
    default, new = files.root / "config.yaml", target.config.with_name("config.yaml.new")
    if target.config.exists() and target.config.read_bytes() != default.read_bytes():
        switch.add_file(default, new)
        return new
    switch.add_file(default, target.config)
    return None


def add_program(switch: Switch, target: Target, environment: Path) -> bool:
    """Let `bin` and `share` point into the new environment; return whether that is another one than before."""
    link = target.program / "bin"
    switch.add_link(link, Path(environment.name) / "bin")
    if (environment / "share").is_dir():
        switch.add_link(target.program / "share", Path(environment.name) / "share")
    return not link.is_symlink() or link.resolve().parent != environment.resolve()


def add_links(switch: Switch, target: Target, environment: Path) -> None:
    """Link commands, manual pages and completions to where they are looked for; keep other files of the same name."""
    kept = []
    for link, aim in links(target, environment):
        if link.is_symlink() and link.readlink() == aim:
            continue
        if link.is_symlink() or link.exists():
            kept.append(link)
        else:
            switch.add_link(link, aim)
    commands = [link.name for link in kept if link.parent == target.commands]
    if commands:
        print(
            f"{target.commands} has other programs named {', '.join(commands)}; they stay. "
            f"The service's own are in {target.program / 'bin'}."
        )


def links(target: Target, environment: Path) -> list[tuple[Path, Path]]:
    """Return each link outside of the program's folder, and its aim."""
    found = [(target.commands / name, target.program / "bin" / name) for name in layout.COMMANDS]
    share = environment / "share"
    for pattern in layout.SHARED:
        for path in sorted(share.glob(pattern)):
            name = path.relative_to(share)
            found.append((target.shared / name, target.program / "share" / name))
    return found


def report(target: Target, files: Files, new_config: Path | None) -> None:
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
    else:
        print(layout.lingering_advice(target))
    print(f"To undo:             {files.command('uninstall', user=target.user is not None)}")


def uninstall(target: Target, files: Files, *, purge: bool) -> None:
    """Stop and remove the service. Settings, profiles and mute stay unless `purge` is set."""
    manager.stop(target)
    own = [target.commands / name for name in layout.COMMANDS]
    own += [path for pattern in layout.SHARED for path in target.shared.glob(pattern)]
    for link in own:
        if link.is_symlink() and link.readlink().is_relative_to(target.program):
            link.unlink()
    shutil.rmtree(target.program, ignore_errors=True)
    target.config.with_name("config.yaml.new").unlink(missing_ok=True)
    if target.sysusers is not None:
        target.sysusers.unlink(missing_ok=True)
    if not purge:
        kept = [str(path) for path in (target.config.parent, *layout.state_folders(target)) if path.exists()]
        if target.user is None:
            kept += [f"group {name}" for name in layout.GROUPS if has_group(name)]
        print(f"Removed. Kept: {', '.join(kept) or 'nothing'}; {files.purge_option} removes these too.")
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
