"""What all commands have in common: version, -v, help that teaches, and colours that can be switched off."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from ser_model.command_line import CommandParser
from ser_model.version import full_version
from support.commands import MODULES, program, run
from support.speech import SYNTHETIC_SPEECH
from support.terminal import Terminal

COMMANDS = tuple(MODULES)


def parser_of(name: str) -> CommandParser:
    parser = importlib.import_module(MODULES[name]).build_parser()
    assert isinstance(parser, CommandParser)
    return parser


def all_parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser and those of its sub-commands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                yield from all_parsers(sub)


PARSERS = [parser for name in COMMANDS for parser in all_parsers(parser_of(name))]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_prints_its_version(name: str) -> None:
    ended = run(name, "--version")
    assert (ended.code, ended.out, ended.err) == (0, f"{name} {full_version()}\n", "")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_lists_its_exit_statuses(name: str) -> None:
    text = parser_of(name).format_help()
    assert "exit status:\n  0    " in text
    assert re.search(r"^  2    \S", text, re.MULTILINE)


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.prog)
def test_every_command_and_sub_command_has_an_example_of_itself(parser: argparse.ArgumentParser) -> None:
    assert isinstance(parser, CommandParser)
    assert parser.examples, parser.prog
    assert any(parser.prog in command for command, _ in parser.examples)


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.prog)
def test_every_example_is_a_command_line_that_is_accepted(parser: argparse.ArgumentParser) -> None:
    assert isinstance(parser, CommandParser)
    for command, _ in parser.examples:
        part = next(part for part in command.split("|") if "ser-" in part)
        words = shlex.split(part)
        start = next(index for index, word in enumerate(words) if word in COMMANDS)
        parser_of(words[start]).parse_args(words[start + 1 :])


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.prog)
def test_every_option_is_explained_and_v_is_known(parser: argparse.ArgumentParser) -> None:
    options = [option for action in parser._actions for option in action.option_strings]
    assert {"-v", "--verbose", "--debug", "-h"} <= set(options)
    commands = (argparse._SubParsersAction,)
    assert [action.dest for action in parser._actions if not action.help and not isinstance(action, commands)] == []


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.prog)
def test_help_fits_a_terminal(parser: argparse.ArgumentParser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    wide = [line for line in parser.format_help().splitlines() if len(line) > 80]
    assert [line for line in wide if "{" not in line] == []


def test_with_v_an_error_says_where_it_comes_from() -> None:
    arguments = ("status", "--uri", "unix:///nowhere/ser.sock")
    plain, verbose = run("ser-ctl", *arguments), run("ser-ctl", "-v", *arguments)
    assert plain.err == "".join(line for line in verbose.err.splitlines(keepends=True) if line.startswith("ser-ctl: "))
    assert "Sockets to try: /nowhere/ser.sock" in verbose.err
    assert "Traceback" in verbose.err
    assert plain.code == verbose.code == 2


@pytest.mark.parametrize("name", ["ser-daemon", "ser-watch", "ser-ctl"])
def test_a_socket_may_be_named_by_a_uri_but_not_twice(name: str) -> None:
    rest = ["status"] if name == "ser-ctl" else []
    options = parser_of(name).parse_args(["--uri", "unix:///run/a.sock", *rest])
    assert str(options.socket) == "/run/a.sock"
    for wrong in (["--uri", "tcp://127.0.0.1:1"], ["--uri", "/run/a.sock"], ["--socket", "/a", "--uri", "unix:///a"]):
        ended = run(name, *wrong, *rest)
        assert ended.code == 2
        assert "unix://" in ended.err or "not allowed with" in ended.err


@pytest.mark.parametrize("name", ["ser-daemon", "ser-calibrate"])
def test_device_is_another_word_for_mic(name: str) -> None:
    before = ["mic"] if name == "ser-calibrate" else []
    device, mic = (parser_of(name).parse_args([*before, option, "USB"]) for option in ("--device", "--mic"))
    assert "USB" in vars(mic).values()
    assert device == mic


@pytest.mark.parametrize("no_color", ["", "1"])
def test_no_color_is_respected(no_color: str, tmp_path: Path) -> None:
    command = [*program("ser-daemon"), "--mic", f"file:{SYNTHETIC_SPEECH}", "--fast", "--socket", str(tmp_path / "s")]
    with Terminal(command, {"NO_COLOR": no_color, "TERM": "xterm-256color"}) as terminal:
        assert terminal.wait() == 0
        colours = re.findall(r"\x1b\[[0-9;]*(?:3[0-8]|9[0-7])[0-9;]*m", terminal.text)
    assert bool(colours) == (no_color == "")
