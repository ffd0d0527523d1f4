"""Run the project's commands as real processes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO

from support.patience import PATIENCE

WAIT = 60.0 * PATIENCE
"""Time limit in seconds, a hundred times what a command needs."""

MODULES = {
    "ser-daemon": "ser_daemon.cli.daemon",
    "ser-watch": "ser_daemon.cli.watch",
    "ser-ctl": "ser_daemon.cli.ctl",
    "ser-calibrate": "ser_calibration.cli.main",
    "ser-model": "ser_model.cli.main",
    "ser-mqtt": "ser_bridges.mqtt.cli",
    "ser-wyoming": "ser_bridges.wyoming.cli",
    "ser-ovos": "ser_bridges.ovos.cli",
    "ser-web": "ser_bridges.web.cli",
}


@dataclass(frozen=True, slots=True)
class Completed:
    """The result of a command."""

    code: int
    out: str
    err: str

    def assert_error(self, name: str, *words: str) -> None:
        """Assert exit status 2, and one line on stderr that contains the words."""
        assert "Traceback" not in self.err
        assert self.err.startswith(f"{name}: "), self.err
        assert len(self.err.splitlines()) == 1, self.err
        assert [word for word in words if word not in self.err] == [], self.err
        assert self.code == 2


def program(name: str, before: str = "pass") -> list[str]:
    """Return the command line that starts a command; `before` is Python code that runs first."""
    code = f"import sys; sys.argv[0] = {name!r}; {before}; from {MODULES[name]} import main; sys.exit(main())"
    return [sys.executable, "-c", code]


def environment(**changes: str | None) -> dict[str, str]:
    """Return this process's environment without `SER_*`, with changes; `None` removes a variable."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SER_")}
    environ.update({name: value for name, value in changes.items() if value is not None})
    return {name: value for name, value in environ.items() if changes.get(name, value) is not None}


def run(
    name: str,
    *arguments: str,
    before: str = "pass",
    environ: Mapping[str, str] | None = None,
    stdin: IO[bytes] | int = subprocess.DEVNULL,
    under: tuple[str, ...] = (),
) -> Completed:
    """Run a command to its end; `under` is a wrapper such as setpriv(1)."""
    result = subprocess.run(
        [*under, *program(name, before), *arguments],
        env=environ if environ is not None else environment(),
        stdin=stdin,
        capture_output=True,
        timeout=WAIT,
        check=False,
    )
    return Completed(result.returncode, result.stdout.decode(errors="replace"), result.stderr.decode(errors="replace"))


def shell(line: str, **variables: str) -> Completed:
    """Run a line of shell, with the names of commands in braces replaced by the commands."""
    for name in MODULES:
        start = " ".join(f"'{part}'" for part in program(name)).replace(f"sys.argv[0] = '{name}'; ", "")
        line = re.sub(rf"\{{{name}\}}", lambda _, start=start: start, line)
    result = subprocess.run(
        ["bash", "-c", line],
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT,
        check=False,
    )
    return Completed(result.returncode, result.stdout, result.stderr)
