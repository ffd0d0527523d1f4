"""Install bridges as services of the system or of a user, or remove them.

Bridges share one environment, `/opt/ser-bridges`, or `~/.local/share/ser-bridges` for a user. It is not the daemon's:
the daemon's has no more than the lock file names.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ser_daemon.install import manager
from ser_daemon.install.environment import build, choose_python, run
from ser_daemon.install.files import DISTRIBUTION, Files, InstallError
from ser_daemon.install.layout import Target
from ser_daemon.install.switch import Switch


def install(target: Target, files: Files, names: Sequence[str], python: Path | None = None) -> None:
    """Install or upgrade bridges, start them, and print a report.

    Args:
        target: of the daemon's service; the bridges lie beside it.
        files: with a unit for each bridge.
        names: such as `mqtt`, which is also the name of the extra.
        python: what runs them; `None`: as the daemon's service.

    Raises:
        InstallError: there is no such bridge, or a step failed; then the old units are back.
    """
    folder = _unit_folder(target, files)
    _require(names, folder)
    manager.require_manager(target)
    place = _place(target)
    environment = build(place, files, choose_python(python, files, target))
    before = _installed(target, folder)
    wanted = sorted({*names, *before})
    switch = Switch()
    committing = False
    try:
        _add_libraries(environment, wanted)
        if target.sysusers is not None:
            # The units name the groups of the daemon's sockets; the daemon may come later.
            run("make the groups", "systemd-sysusers", str(files.sysusers))
        for name in wanted:
            switch.add_file(folder / _unit(name), target.units / _unit(name))
        switch.add_link(place.program / "bin", Path(environment.name) / "bin")
        committing = True
        switch.commit()
        _start(target, wanted)
    except BaseException:
        _return_to(target, before, wanted, switch, committing=committing)
        if not (place.program / "bin").resolve().is_relative_to(environment):
            shutil.rmtree(environment, ignore_errors=True)
            with contextlib.suppress(OSError):
                place.program.rmdir()
        raise
    switch.finish()
    for old in place.program.glob("env-*"):
        if old != environment:
            shutil.rmtree(old, ignore_errors=True)
    _report(target, names)


def uninstall(target: Target, files: Files, names: Sequence[str]) -> None:
    """Stop and remove bridges, and with the last one their environment. Settings stay.

    Raises:
        InstallError: there is no such bridge, or it cannot be stopped.
    """
    folder = _unit_folder(target, files)
    _require(names, folder)
    manager.require_manager(target)
    there = [name for name in names if (target.units / _unit(name)).exists()]
    for name in there:
        unit = target.units / _unit(name)
        now = ["--now"] if target.managed else []
        manager.systemctl(target, "--quiet", "disable", *now, unit.name, log=unit.name)
        unit.unlink()
    _reload(target)
    if not _installed(target, folder):
        shutil.rmtree(_place(target).program, ignore_errors=True)
    for name in names:
        if name not in there:
            print(f"{_unit(name)} is not installed.")
    if there:
        print(f"Removed: {', '.join(map(_unit, there))}. Settings in {target.config.parent} stay.")


def _unit(name: str) -> str:
    return f"ser-{name}.service"


def _unit_folder(target: Target, files: Files) -> Path:
    return files.root / "systemd/bridges" / ("user" if target.user else "")


def _place(target: Target) -> Target:
    return replace(target, program=target.program.with_name("ser-bridges"))


def _available(folder: Path) -> list[str]:
    return sorted(path.stem.removeprefix("ser-") for path in folder.glob("ser-*.service"))


def _installed(target: Target, folder: Path) -> list[str]:
    return [name for name in _available(folder) if (target.units / _unit(name)).exists()]


def _require(names: Sequence[str], folder: Path) -> None:
    available = _available(folder)
    for name in names:
        if name not in available:
            raise InstallError(f"There is no bridge {name!r} with a unit; expected some of {', '.join(available)}.")


def _add_libraries(environment: Path, names: Sequence[str]) -> None:
    """Install the library of each bridge beside the program."""
    pip = [str(environment / "bin/python"), "-I", "-m", "pip", "install", "--quiet", "--no-input"]
    # The program is there already; this adds what its extras name.
    run(
        f"install the libraries of {', '.join(names)}",
        *pip,
        "--disable-pip-version-check",
        f"{DISTRIBUTION}[{','.join(names)}]",
    )


def _start(target: Target, names: Sequence[str]) -> None:
    _reload(target)
    for unit in map(_unit, names):
        manager.systemctl(target, "--quiet", "enable", unit, log=unit)
        if target.managed:
            manager.systemctl(target, "restart", unit, log=unit)


def _return_to(
    target: Target, before: Sequence[str], wanted: Sequence[str], switch: Switch, *, committing: bool
) -> None:
    """Bring the previous units back, and start them again where they may have been stopped."""
    if committing:
        for unit in {*map(_unit, wanted)} - {*map(_unit, before)}:
            now = ["--now"] if target.managed else []
            with contextlib.suppress(InstallError):
                manager.systemctl(target, "--quiet", "disable", *now, unit)
    switch.undo()
    if committing:
        with contextlib.suppress(InstallError):
            _start(target, before)


def _reload(target: Target) -> None:
    if target.managed:
        manager.systemctl(target, "daemon-reload")


def _report(target: Target, names: Sequence[str]) -> None:
    ctl = " ".join(target.systemctl)
    print(f"Installed: program in {_place(target).program}, units in {target.units}.")
    for unit in map(_unit, names):
        print(f"{unit}: {_state(target, unit)}; {ctl} status {unit.removesuffix('.service')}")


def _state(target: Target, unit: str) -> str:
    """Return whether a bridge runs, and if not, what it waits for."""
    if not target.managed:
        return "it starts with the next boot or login"
    shown = manager.systemctl(target, "show", "--property=ActiveState,ConditionResult", unit)
    if "ConditionResult=no" in shown:
        # The only condition of these units is a file of settings.
        (path,) = re.findall(r"^ConditionPathExists=(.*)$", (target.units / unit).read_text(), re.MULTILINE)
        return f"it waits for {path.replace('%h', str(Path.home()))}: write it, then restart it"
    return "it runs" if "ActiveState=active" in shown else "it does not run"
