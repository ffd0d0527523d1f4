"""What the commands of all bridges share: options, exit status, the log, and an end by a signal."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from ser_model import console
from ser_model.command_line import CommandParser, add_verbose
from ser_model.errors import SerError
from ser_model.printable import printable

NOTES = """\
Without --socket, $SER_SOCKET is used, else your own daemon's socket, else the system's. It waits for a daemon that \
isn't running and comes back when it was restarted. Ctrl-C or SIGTERM ends it."""

STATUSES = {
    0: "ended by a signal",
    2: "it cannot work so, or the command line is wrong; one sentence on stderr says why",
}

_PRIORITY = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}
"""Priorities of sd-daemon(3), which the journal reads at the start of a line."""


def require(module: str, extra: str) -> ModuleType:
    """Import the library of an extra.

    Args:
        module: name of the library's module.
        extra: the extra of ser-daemon that installs it.

    Raises:
        SerError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or module.split(".")[0] != error.name.split(".")[0]:
            raise
        raise SerError(
            f"The library {error.name} is missing; install the extra {extra}: pip install 'ser-daemon[{extra}]'."
        ) from None


def make_parser(
    name: str, description: str, examples: Sequence[tuple[str, str]] = (), notes: str = ""
) -> CommandParser:
    """Return a parser with the options of all bridges: `socket`, `control_socket` and `verbose`."""
    parser = CommandParser(
        prog=name,
        description=description,
        examples=examples,
        notes=f"{notes}\n\n{NOTES}" if notes else NOTES,
        statuses=STATUSES,
        version=True,
        verbose=False,
        # `--password secret` must not count as `--password-file secret`.
        allow_abbrev=False,
    )
    group = parser.add_argument_group("the daemon")
    group.add_argument("--socket", type=Path, metavar="PATH", help="the daemon's socket")
    group.add_argument(
        "--control-socket", type=Path, metavar="PATH", help="the daemon's control socket (default: beside the socket)"
    )
    add_verbose(parser, "log what is sent and received", action="store_true")
    return parser


def run(
    parser: argparse.ArgumentParser,
    bridge: Callable[[argparse.Namespace], Coroutine[Any, Any, None]],
    argv: Sequence[str] | None = None,
) -> int:
    """Run a bridge until it is told to end.

    Args:
        parser: made by `make_parser`.
        bridge: gets the options; is cancelled by SIGINT and SIGTERM, and then says good-bye to the other side.
        argv: the command line; None: that of the process.

    Returns:
        the exit status: 0 after a signal, 2 after a message for a `SerError`
    """

    def work() -> int:
        options = parser.parse_args(argv)
        _start_log(parser.prog, verbose=options.verbose)
        return asyncio.run(_until_signal(bridge(options)))

    return console.run(parser.prog, work)


async def _until_signal(bridge: Coroutine[Any, Any, None]) -> int:
    task = asyncio.current_task()
    assert task is not None
    ended = False

    def end() -> None:
        nonlocal ended
        # A second signal must not interrupt the good-bye; SIGKILL is there for that.
        if not ended:
            ended = True
            task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    try:
        await bridge
    except asyncio.CancelledError:
        if not ended:
            raise
    return 0


async def together(*parts: Coroutine[Any, Any, None]) -> None:
    """Run parts of a bridge at the same time; the first error ends all of them and is raised by itself."""
    try:
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part)
    except BaseExceptionGroup as errors:
        first = errors.exceptions[0]
        raise first from first.__cause__


def check_cancelled() -> None:
    """Raise the cancellation of this task where a library has swallowed it.

    `asyncio.wait_for` of Python 3.11 does so if what it waits for is done in the same moment (bpo-42130). A task that
    never ends would follow, and a bridge that SIGTERM does not end. Call it only in a task in which no `TaskGroup` has
    failed before: until Python 3.13 that leaves a cancellation behind which was none.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _start_log(name: str, *, verbose: bool) -> None:
    """Write the log to stderr; for the journal, each line with its priority."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines(None if "JOURNAL_STREAM" in os.environ else name))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("ser_bridges").setLevel(logging.DEBUG if verbose else logging.INFO)


class _Lines(logging.Formatter):
    """One line per record that a terminal only shows."""

    def __init__(self, name: str | None) -> None:
        """Prepare; `name` precedes each line, None: the priority does."""
        super().__init__("%(message)s")
        self._name = name

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        start = f"<{_PRIORITY.get(record.levelname, 6)}>" if self._name is None else f"{self._name}: "
        return start + printable(super().format(record))
