"""Makes the manual pages and completions in `share/` from the parsers of the commands: `make man`.

`share/` has the folders of a prefix such as /usr/local, so installing it is copying it. The files are committed: the
wheel needs no tool to make them, and the same source gives the same bytes.
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / folder) for folder in ("model", "daemon", "calibration", "bridges")]

from ser_daemon.paths import SYSTEM_CONFIG, SYSTEM_SOCKET  # noqa: E402 - the packages need not be installed
from ser_model.command_line import CommandParser  # noqa: E402

SHARE = ROOT / "share"

COMPLETIONS = {
    "bash": "bash-completion/completions/{0}",
    "zsh": "zsh/site-functions/_{0}",
    "fish": "fish/vendor_completions.d/{0}.fish",
}
"""Where each shell looks, below `share`."""

FILES = (
    (str(SYSTEM_CONFIG), "settings of the machine; each key is explained there"),
    ("~/.config/ser-daemon/config.yaml", "settings of a user; they override those of the machine"),
    (str(SYSTEM_SOCKET), "event socket of the machine's service"),
    ("$XDG_RUNTIME_DIR/ser-daemon/ser.sock", "event socket of a user's daemon"),
)
VARIABLES = (
    ("SER_SOCKET", "path of the event socket"),
    ("SER_CONFIG", "a config file, as with ser-daemon --config"),
    ("SER_SECTION_KEY", "any setting: SER_GATE_HANGOVER_MS is gate.hangover_ms"),
    ("NO_COLOR", "if set, output has no colours (no-color.org)"),
)


def main() -> int:
    """Write what has changed; return 2 if the tool for completions is missing."""
    try:
        made = make()
    except ImportError:
        print("pages: shtab is not installed: pip install -e '.[dev]'", file=sys.stderr)
        return 2
    for path in sorted(SHARE.rglob("*")):
        if path.is_file() and path.relative_to(SHARE).as_posix() not in made:
            path.unlink()
    for name, text in made.items():
        path = SHARE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    print(f"{SHARE}: {len(made)} files")
    return 0


def make() -> dict[str, str]:
    """Return the content of every file by its name below `share`."""
    import shtab

    found = {}
    parsers = command_parsers()
    for name, parser in parsers.items():
        found[f"man/man1/{name}.1"] = manual_page(parser, list(parsers))
    for name, parser in parsers.items():
        _complete_paths(parser, shtab)
        _shorten(parser)
        for shell, place in COMPLETIONS.items():
            found[place.format(name)] = shtab.complete(parser, shell).rstrip() + "\n"
    return found


def manual_pages() -> dict[str, str]:
    """Return the manual pages alone, which need no other package."""
    parsers = command_parsers()
    return {f"man/man1/{name}.1": manual_page(parser, list(parsers)) for name, parser in parsers.items()}


def command_parsers() -> dict[str, CommandParser]:
    """Return the parser of each command that pyproject.toml declares."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    modules = {name: importlib.import_module(target.partition(":")[0]) for name, target in scripts.items()}
    return {name: module.build_parser() for name, module in modules.items()}


def _complete_paths(parser: argparse.ArgumentParser, shtab: Any) -> None:
    """Let every argument whose placeholder stands for a file or folder complete to one."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                _complete_paths(sub, shtab)
        elif action.metavar in ("FILE", "PATH", "SOCKET", "STEM"):
            action.complete = shtab.FILE  # type: ignore[attr-defined] # shtab reads this attribute
        elif action.metavar in ("DIR", "FOLDER", "RUN"):
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]


def _shorten(parser: argparse.ArgumentParser) -> None:
    """Describe each sub-command by its one line of help: a shell shows it beside the name."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for choice in action._choices_actions:
                action.choices[choice.dest].description = choice.help


def manual_page(parser: CommandParser, commands: list[str]) -> str:
    """Return the manual page of a command, in man(7)."""
    from ser_model import __version__

    description = _sentences(parser.description)
    summary = re.split(r"[.:]( |$)", description, maxsplit=1)[0]
    lines = [
        '.\\" Made by `make man` from the parser of the command; do not edit.',
        f'.TH {parser.prog.upper()} 1 "" "ser-daemon {__version__}" "User Commands"',
        ".SH NAME",
        f"{_text(parser.prog)} \\- {_text(summary[0].lower() + summary[1:])}",
        ".SH SYNOPSIS",
        *_synopsis(parser),
        ".SH DESCRIPTION",
        *_paragraphs(description),
        ".SH OPTIONS",
        *_options(parser, set()),
    ]
    subs = _sub_commands(parser)
    if subs:
        lines.append(".SH COMMANDS")
        common = {option for action in parser._actions for option in action.option_strings}
        for sub in subs:
            lines += [f'.SS "{_text(sub.prog)}"', *_synopsis(sub), ".PP", *_paragraphs(_sentences(sub.description))]
            word = "Examples:" if len(sub.examples) > 1 else "Example:"
            lines += [*_options(sub, common), ".PP", word, *_rows(sub.examples)]
    lines += [".SH EXAMPLES", *_rows(parser.examples)]
    if parser.notes:
        lines += [".SH NOTES", *_paragraphs(parser.notes)]
    lines += [".SH EXIT STATUS", *_rows((str(code), text) for code, text in parser.statuses.items())]
    lines += [".SH FILES", *_rows(FILES), ".SH ENVIRONMENT", *_rows(VARIABLES), ".SH SEE ALSO"]
    others = [name for name in commands if name != parser.prog]
    lines += [f".BR {_text(name)} (1){',' if name != others[-1] else ''}" for name in others]
    return "\n".join(lines) + "\n"


def _sub_commands(parser: argparse.ArgumentParser) -> list[CommandParser]:
    found = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return [sub for action in found for sub in action.choices.values()]


def _synopsis(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the command with its arguments; required options are written out."""
    words = [f"\\fB{_text(parser.prog)}\\fR"]
    actions = [action for action in parser._actions if action.help is not argparse.SUPPRESS]
    required = [action for action in actions if action.option_strings and action.required]
    if len(required) < len([action for action in actions if action.option_strings]):
        words.append("[\\fIOPTION\\fR]...")
    words += [f"\\fB{_text(action.option_strings[0])}\\fR {_value(action)}" for action in required]
    for action in actions:
        if isinstance(action, argparse._SubParsersAction):
            words.append("\\fICOMMAND\\fR ...")
        elif not action.option_strings:
            words.append(_value(action))
    yield " ".join(words)


def _value(action: argparse.Action) -> str:
    """Return the placeholder of an argument, as often as it is given."""
    if isinstance(action.metavar, tuple):
        return " ".join(f"\\fI{_text(name)}\\fR" for name in action.metavar)
    name = action.metavar or ("{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest)
    if not action.metavar and not action.choices and action.option_strings:
        name = name.upper()
    shown = f"\\fI{_text(name)}\\fR"
    return {"?": f"[{shown}]", "*": f"[{shown}]...", "+": f"{shown}..."}.get(str(action.nargs), shown)


def _options(parser: argparse.ArgumentParser, known: set[str]) -> Iterator[str]:
    """Yield the arguments by group, without the options that are `known`, and without the sub-commands."""
    for group in parser._action_groups:
        rows = []
        for action in group._group_actions:
            if isinstance(action, argparse._SubParsersAction) or action.help is argparse.SUPPRESS:
                continue
            if action.option_strings and set(action.option_strings) <= known:
                continue
            rows.append(action)
        if rows and group.title not in ("options", "positional arguments"):
            yield f'.SS "{_text(str(group.title).capitalize())}"'
        for action in rows:
            yield ".TP"
            value = "" if action.nargs == 0 else _value(action)
            names = ", ".join(f"\\fB{_text(option)}\\fR" for option in action.option_strings)
            yield f"{names} {value}".strip()
            yield _text((action.help or "") % {**vars(action), "prog": parser.prog})


def _rows(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, text in rows:
        yield from (".TP", f"\\fB{_text(name)}\\fR")
        if text:
            yield _text(text)


def _sentences(text: str | None) -> str:
    return (text or "").strip()


def _paragraphs(text: str) -> Iterator[str]:
    """Yield paragraphs; one with indented rows stays as it is."""
    for number, paragraph in enumerate(text.split("\n\n")):
        if number:
            yield ".PP"
        if "\n  " in paragraph:
            yield from (".nf", *map(_text, paragraph.split("\n")), ".fi")
        else:
            yield _text(" ".join(paragraph.split()))


def _text(text: str) -> str:
    r"""Escape for troff: the backslash, hyphens that are typed, and a dot or quote at the start of a line."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("~", "\\(ti").replace("^", "\\(ha")
    return re.sub(r"^([.'])", r"\\&\1", escaped.replace("`", "\\(ga"))


if __name__ == "__main__":
    sys.exit(main())
