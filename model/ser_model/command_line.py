"""What the command lines share: `--version`, `-v`, help with examples and exit statuses, and durations."""

from __future__ import annotations

import argparse
import logging
import re
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from ser_model.console import ArgumentParser
from ser_model.durations import UNITS, in_unit
from ser_model.printable import printable_lines

_COLUMN = 36
"""Longest command whose explanation stands beside it."""

LOGGERS = ("ser_model", "ser_daemon", "ser_calibration")


class CommandParser(ArgumentParser):
    """A parser whose help has examples, notes and exit statuses. The manual pages are made from the same texts.

    Args:
        examples: command lines, each with what it does.
        notes: paragraphs after the examples; one with indented lines is not filled.
        statuses: the meaning of each exit status.
        version: add `--version`.
        verbose: add `-v`.
        options: as for `argparse.ArgumentParser`.
    """

    def __init__(
        self,
        *arguments: Any,
        examples: Sequence[tuple[str, str]] = (),
        notes: str = "",
        statuses: Mapping[int, str] | None = None,
        version: bool = False,
        verbose: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **{"formatter_class": HelpFormatter, **options})
        self.examples = tuple(examples)
        self.notes = notes
        self.statuses = dict(statuses or {})
        self.epilog = self._compose_epilog() or None
        if version:
            self.add_argument("--version", action=Version, help="print the version and end")
        if verbose:
            add_verbose(self, action=Verbose)

    def _compose_epilog(self) -> str:
        parts = []
        if self.examples:
            width = min(_COLUMN, max(len(command) for command, _ in self.examples))
            lines = [_example(command, text, width) for command, text in self.examples]
            parts.append("\n".join(["examples:" if len(lines) > 1 else "example:", *lines]))
        if self.notes:
            parts.append(self.notes)
        if self.statuses:
            parts.append("\n".join(["exit status:", *(f"  {code:<3}  {text}" for code, text in self.statuses.items())]))
        return "\n\n".join(parts)


class HelpFormatter(argparse.HelpFormatter):
    """Fills the paragraphs of descriptions and epilogs, but keeps those with indented lines as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n\n".join(self._fill_paragraph(paragraph, width, indent) for paragraph in text.split("\n\n"))

    def _fill_paragraph(self, paragraph: str, width: int, indent: str) -> str:
        if "\n  " in paragraph or paragraph.startswith("  "):
            return "\n".join(self._fill_row(line, width) for line in textwrap.indent(paragraph, indent).split("\n"))
        return super()._fill_text(paragraph, width, indent)

    def _fill_row(self, line: str, width: int) -> str:
        """Wrap the second column of a row."""
        columns = re.match(r" +\S.*?  +", line) or re.match(r" +", line)
        if columns is None or len(line) <= width:
            return line
        return textwrap.fill(line, width, subsequent_indent=" " * columns.end(), break_on_hyphens=False)


def _example(command: str, text: str, width: int) -> str:
    """Return the row of an example; after a long command its text has a line of its own."""
    gap = "  " if len(command) <= width else "\n" + " " * (width + 4)
    return f"  {command:<{width}}{gap}{text}".rstrip()


class Version(argparse.Action):
    """Prints the version, with the commit where it is known, and ends."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:  # noqa: A002
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print it."""
        # Only here, since it reads files.
        from ser_model.version import full_version

        print(f"{parser.prog} {full_version()}")
        parser.exit()


class Verbose(argparse.Action):
    """Lets the log of what is done appear on stderr from here on."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:  # noqa: A002
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, *_: object) -> None:
        """Switch it on."""
        setattr(namespace, self.dest, True)
        show_log()


def add_verbose(parser: argparse.ArgumentParser | argparse._ArgumentGroup, text: str = "", **options: Any) -> None:
    """Add `-v`, by all its names; `options` are those of `add_argument`."""
    text = text or "say on stderr what is done, and where an error comes from"
    parser.add_argument("-v", "--verbose", "--debug", dest="verbose", help=text, **options)


def show_log(names: Sequence[str] = LOGGERS) -> None:
    """Print the log of these loggers to stderr, all levels. A second call does nothing."""
    for name in names:
        logger = logging.getLogger(name)
        logger.setLevel(logging.DEBUG)
        if not logger.handlers:
            logger.propagate = False
            handler = logging.StreamHandler(sys.stderr)
            handler.setFormatter(_LogFormatter("%(name)s: %(message)s"))
            logger.addHandler(handler)


class _LogFormatter(logging.Formatter):
    """Escapes what a terminal would execute."""

    def format(self, record: logging.LogRecord) -> str:
        return printable_lines(super().format(record))


def duration(unit: Literal["ms", "s"], low: float, high: float) -> Callable[[str], float]:
    """Return a converter for `add_argument(type=...)`: a plain number of `unit`, or a number with a unit of its own.

    Args:
        unit: what a plain number counts, and the result.
        low: the least value, in `unit`; not included if it is 0.
        high: the greatest value, in `unit`.
    """

    def convert(text: str) -> float:
        try:
            value = float(in_unit(text, unit))
        except ValueError:
            value = -1.0
        if low <= value <= high and value > 0:
            return value
        word = {"ms": "milliseconds", "s": "seconds"}[unit]
        least = "more than 0" if low == 0 else f"at least {low:g}"
        raise argparse.ArgumentTypeError(
            f"expected {least} and at most {high:g} {word}, or a number with {UNITS}, got {text!r}"
        )

    return convert
