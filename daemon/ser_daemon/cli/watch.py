"""`ser-watch`: shows the events of the daemon."""

from __future__ import annotations

import argparse
import asyncio
import os
import select
import signal
import stat
import threading
from collections.abc import Sequence
from pathlib import Path

from ser_daemon.cli.options import add_socket
from ser_daemon.watch.event_command import LIMIT_SECONDS, parse_command
from ser_daemon.watch.session import Options, watch
from ser_daemon.wire.events import PUBLISHED
from ser_model import console
from ser_model.command_line import CommandParser, duration
from ser_model.errors import SerError

FORMATS = ("json", "text", "csv", "rcs")

_EXAMPLES = (
    ("ser-watch", "live view of the daemon that is running"),
    ("ser-watch --finals --plain", "one line per utterance"),
    ("ser-watch --json | jq -c .data", "the raw event stream, one JSON object a line"),
    ("ser-watch --finals --format rcs", "a line for the prompt of a language model"),
    ("ser-watch --finals --exec ./lights", "run ./lights for each answer, with the event on its stdin"),
    ("ser-watch --record talk.ndjson", "show the events and keep them"),
    ("ser-watch --replay talk.ndjson --serve /tmp/ser.sock", "play them to a client, without a daemon"),
)

_NOTES = """\
Without --socket, $SER_SOCKET is used, else your own daemon's socket, else the system's. It waits for a daemon that \
isn't running, and comes back when it was restarted. Ctrl-C ends it."""

_STATUSES = {
    0: "done: the recording was played to its end, or the reader of the output ended (| head)",
    1: "the command of --exec failed",
    2: "the command line is wrong, or a file or the daemon can't be used; one sentence on stderr says why",
    130: "Ctrl-C",
    143: "the signal SIGTERM",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, 1, 2 on an error, 128 + the number of a signal."""
    return console.run("ser-watch", lambda: _run(build_parser().parse_args(argv)))


def _run(options: argparse.Namespace) -> int:
    if options.replay is None and (options.fast or options.serve):
        raise SerError(f"{'--fast' if options.fast else '--serve'} needs a recording to play: add --replay FILE.")
    watched = Options(
        socket=options.socket,
        form=options.format,
        events=options.events,
        partial=not options.finals,
        min_confidence=options.min_confidence,
        command=None if options.exec is None else parse_command(options.exec),
        command_seconds=options.exec_timeout,
        record=options.record,
        replay=options.replay,
        fast=options.fast,
        serve=options.serve,
    )
    if watched.command is None and watched.serve is None:
        _exit_with_reader()
    try:
        return asyncio.run(watch(watched))
    except asyncio.CancelledError:
        return 128 + signal.SIGTERM


def _exit_with_reader() -> None:
    """Exit when the process that reads the output is gone (`| head -1`), also while there is nothing to write."""
    if not stat.S_ISFIFO(os.fstat(1).st_mode):
        return
    poll = select.poll()
    # No event is requested. POLLERR is always reported, and comes when the reading end is closed.
    poll.register(1, 0)

    def wait() -> None:
        poll.poll()
        # Every line was flushed, and a pipe is no terminal that would have to be restored.
        os._exit(0)

    threading.Thread(target=wait, name="reader", daemon=True).start()


def build_parser() -> CommandParser:
    """Return the parser of the command line."""
    parser = CommandParser(
        prog="ser-watch",
        description="Show what ser-daemon hears: speech, and how it was said.",
        examples=_EXAMPLES,
        notes=_NOTES,
        statuses=_STATUSES,
        version=True,
    )
    add_socket(parser, "the daemon's socket", type=Path)
    _add_output(parser)
    which = parser.add_argument_group("which events")
    which.add_argument("--finals", action="store_true", help="only the answer to each utterance as a whole")
    which.add_argument("--events", type=_types, metavar="TYPES", help=f"only these types: {','.join(PUBLISHED)}")
    which.add_argument(
        "--min-confidence", type=_share, default=0.0, metavar="X", help="no emotions with a lower confidence, 0 to 1"
    )
    _add_recordings(parser)
    return parser


def _add_output(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("where they go")
    form = group.add_mutually_exclusive_group()
    form.add_argument(
        "--format",
        choices=FORMATS,
        help="instead of the live view: lines of JSON as they come from the socket, text, CSV, or perception for the "
        "prompt of a language model",
    )
    form.add_argument("--json", action="store_const", const="json", dest="format", help="the same as --format json")
    form.add_argument("--plain", action="store_const", const="text", dest="format", help="the same as --format text")
    group.add_argument(
        "--exec",
        metavar="CMD",
        help="run a command for each event, one at a time, with its line of JSON on stdin; partial results are dropped "
        "where it is too slow",
    )
    group.add_argument(
        "--exec-timeout",
        type=duration("s", 0, 3600),
        default=LIMIT_SECONDS,
        metavar="TIME",
        help=f"end a command that takes longer for an event (default: {LIMIT_SECONDS:g}s)",
    )


def _add_recordings(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("recordings")
    group.add_argument("--record", type=Path, metavar="FILE", help="also write the events to a file")
    group.add_argument("--replay", type=Path, metavar="FILE", help="play such a file instead of listening to a daemon")
    group.add_argument("--fast", action="store_true", help="play it without waiting")
    group.add_argument(
        "--serve", type=Path, metavar="SOCKET", help="play it to clients of this socket, from the first one on"
    )


def _types(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in names if name not in PUBLISHED]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"expected some of {','.join(PUBLISHED)}, got {','.join(unknown) or text!r}")
    return names


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text!r}")
    return share
