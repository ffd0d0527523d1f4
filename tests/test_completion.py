"""The completions in `share/` work in the shells themselves: a line is typed, and the tab key completes it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support.terminal import Terminal

SHARE = Path(__file__).resolve().parents[1] / "share"
BASH_COMPLETION = Path("/usr/share/bash-completion/bash_completion")
COMMANDS = sorted(page.stem for page in (SHARE / "man/man1").iterdir())

LINES = [
    ("ser-ctl ho", "ld"),
    ("ser-ctl --json mu", "te"),
    ("ser-ctl config --di", "ff"),
    ("ser-watch --forma", "t"),
    ("ser-watch --format cs", "v"),
    ("ser-daemon --li", "st-devices"),
    ("ser-daemon --config setti", "ngs.yaml"),
    ("ser-calibrate mi", "c"),
    ("ser-calibrate mic --outp", "ut"),
    ("ser-model train --variant h12", "8"),
    ("ser-mqtt --ca", "-file"),
    ("ser-wyoming --vers", "ion"),
]
"""What is typed, and what the shell adds."""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Variables of a user who has the commands and the completions, and no settings of a shell."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name in COMMANDS:
        (commands / name).write_text("#!/bin/sh\n")
        (commands / name).chmod(0o755)
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "settings.yaml").write_text("")
    return {
        "PATH": f"{commands}:{os.environ['PATH']}",
        "HOME": str(folder),
        # In which bash and fish look for bash-completion/completions and fish/vendor_completions.d.
        "XDG_DATA_DIRS": str(SHARE),
        "XDG_CONFIG_HOME": str(folder),
        "XDG_DATA_HOME": str(folder),
        "XDG_CACHE_HOME": str(folder),
        "PS1": "ready> ",
    }


def needs(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (Debian: {program})")


def complete_all(terminal: Terminal, setup: str, added: Callable[[str], str]) -> None:
    """Type each line and a tab; `added` gives what the terminal then shows after the line."""
    terminal.until("ready> ")
    # In one word only after the shell has joined it: the line that is typed does not hold it.
    terminal.press(f"{setup}; cd; echo set'-'up\n")
    terminal.until("set-up")
    terminal.until("ready> ")
    for line, rest in LINES:
        terminal.press(f"{line}\t")
        terminal.until(added(line + rest))
        # Throw the line away by a key: a signal could come while the shell still completes.
        terminal.press("\x15\n")
        terminal.until("ready> ")


def test_bash_completes(environment: dict[str, str]) -> None:
    needs("bash")
    if not BASH_COMPLETION.is_file():
        pytest.skip("bash-completion is not installed (Debian: bash-completion)")
    with Terminal(["bash", "--norc", "-i"], environment) as terminal:
        complete_all(terminal, f". {BASH_COMPLETION}", lambda line: line)


def test_zsh_completes(environment: dict[str, str]) -> None:
    needs("zsh")
    # -u: the folder belongs to another user than root where the source tree does.
    setup = f"fpath=({SHARE}/zsh/site-functions $fpath); autoload -U compinit; compinit -u -D"
    with Terminal(["zsh", "-f", "-i"], environment) as terminal:
        complete_all(terminal, setup, lambda line: line)


@pytest.mark.parametrize(("line", "rest"), LINES)
def test_fish_completes(environment: dict[str, str], line: str, rest: str) -> None:
    needs("fish")
    done = subprocess.run(
        ["fish", "-c", f"cd; complete -C '{line}'"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    word = line.rpartition(" ")[2] + rest
    assert [row.partition("\t")[0] for row in done.stdout.splitlines()] == [word]


def test_zsh_and_fish_say_in_one_line_what_a_command_does() -> None:
    for name in ("zsh/site-functions/_ser-calibrate", "fish/vendor_completions.d/ser-calibrate.fish"):
        text = (SHARE / name).read_text()
        assert "measure the noise floor" in text
        assert "No audio is kept" not in text
