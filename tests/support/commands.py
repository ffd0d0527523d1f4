"""The project's commands as real processes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO

WAIT = 60.0
"""Seconds after which a test gives up; a healthy machine needs a hundredth of it."""

HOMES = {
    "ser-daemon": "ser_daemon.cli.daemon",
    "ser-watch": "ser_daemon.cli.watch",
    "ser-ctl": "ser_daemon.cli.ctl",
    "ser-calibrate": "ser_calibration.cli.main",
    "ser-model": "ser_model.cli.main",
}


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command left behind."""

    code: int
    out: str
    err: str

    def refused(self, name: str, *words: str) -> None:
        """Assert one sentence on stderr that holds the words, and exit code 2."""
        assert "Traceback" not in self.err
        assert self.err.startswith(f"{name}: "), self.err
        assert len(self.err.splitlines()) == 1, self.err
        assert [word for word in words if word not in self.err] == [], self.err
        assert self.code == 2


def program(name: str, before: str = "pass") -> list[str]:
    """What starts a command; `before` is Python that is run first."""
    code = f"import sys; sys.argv[0] = {name!r}; {before}; from {HOMES[name]} import main; sys.exit(main())"
    return [sys.executable, "-c", code]


def environment(**changes: str | None) -> dict[str, str]:
    """This process's variables without ours; None takes one away."""
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
) -> Ended:
    """Run a command to its end, `under` another one such as setpriv(1)."""
    result = subprocess.run(
        [*under, *program(name, before), *arguments],
        env=environ if environ is not None else environment(),
        stdin=stdin,
        capture_output=True,
        timeout=WAIT,
        check=False,
    )
    return Ended(result.returncode, result.stdout.decode(errors="replace"), result.stderr.decode(errors="replace"))


def shell(line: str, **variables: str) -> Ended:
    """Run a line of shell in which every command's name, in braces, stands for the command."""
    for name in HOMES:
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
    return Ended(result.returncode, result.stdout, result.stderr)
