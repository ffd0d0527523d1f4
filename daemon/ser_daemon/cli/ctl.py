"""`ser-ctl`: sends one request to the daemon and prints the answer."""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from ser_daemon.cli import prometheus
from ser_daemon.cli.config_command import add_config
from ser_daemon.cli.ctl_requests import COMMANDS, describe_answer
from ser_daemon.cli.options import add_socket
from ser_daemon.client import Client, RequestFailed
from ser_daemon.install.command import add_commands as add_service_commands
from ser_model import console
from ser_model.atomic_file import replace_file
from ser_model.command_line import CommandParser, duration
from ser_model.durations import UNITS, in_unit
from ser_model.errors import SerError

LONGEST_WAIT = 86_400.0
"""Longest --timeout in seconds: a day."""

EXAMPLES = (
    ("ser-ctl status", "is it listening, and to what?"),
    ("ser-ctl mute", "close the microphone"),
    ("ser-ctl hold 5s", "ignore what the assistant itself says"),
    ("ser-ctl config --diff", "which settings were changed, and where"),
)

NOTES = """\
Without --socket, $SER_SOCKET is used, else your own daemon's socket, else the system's. mute, unmute, hold, release, \
reload, reset-adaptation, label and taught go to the control socket beside it. config reads files and asks no daemon; \
install-service and uninstall-service ask systemd.

ser-ctl COMMAND --help explains a command."""

STATUSES = {
    0: "done",
    1: "the daemon refused; one sentence on stderr says why",
    2: "no daemon can be reached, a file can't be read, or the command line is wrong",
    130: "Ctrl-C",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run("ser-ctl", lambda: _run(build_parser().parse_args(argv)))


def _run(options: argparse.Namespace) -> int:
    run: Callable[[argparse.Namespace], int] = options.run
    return run(options)


def _run_hold(options: argparse.Namespace) -> int:
    return _run_request(options) if options.ms is None else _run_request(options, ms=options.ms)


def _run_metrics(options: argparse.Namespace) -> int:
    if options.output is not None and not options.prometheus:
        raise SerError("--output is for the format of Prometheus: add --prometheus.")
    return prometheus.run(options) if options.prometheus else _run_request(options)


def _run_label(options: argparse.Namespace) -> int:
    return _run_request(options, utterance_id=options.utterance, label=options.label)


def _run_taught(options: argparse.Namespace) -> int:
    """List what was taught; with `--json` or `--export` also the numbers of every example."""
    if not options.json and options.export is None:
        return _run_request(options)
    client = Client(options.socket, timeout=options.timeout)
    examples: list[object] = []
    start: int | None = 0
    try:
        answer = client.request("taught")
        while start is not None:
            page = client.request("taught", start=start)
            examples += page["examples"]
            start = page["next"]
    except RequestFailed as error:
        console.report_error("ser-ctl", str(error))
        return 1
    content = json.dumps({**answer, "examples": examples})
    if options.export is None:
        print(content)
        return 0
    try:
        # Numbers of a voice are its owner's.
        replace_file(options.export, content + "\n", 0o600)
    except OSError as error:
        raise SerError(f"{options.export} can't be written: {error.strerror}.") from None
    console.say(f"{options.export} holds {len(examples)} examples: numbers and labels, no audio.")
    return 0


def _run_request(options: argparse.Namespace, **data: object) -> int:
    try:
        answer = Client(options.socket, timeout=options.timeout).request(options.command, **data)
    except RequestFailed as error:
        console.report_error("ser-ctl", str(error))
        return 1
    if options.json:
        # Characters that are not ASCII are escaped.
        print(json.dumps(answer))
    else:
        console.say(describe_answer(options.command, answer))
    return 0


def build_parser() -> CommandParser:
    """Return the parser of the command line."""
    parser = CommandParser(
        prog="ser-ctl",
        description="Ask ser-daemon, or tell it what to do.",
        examples=EXAMPLES,
        notes=NOTES,
        statuses=STATUSES,
        version=True,
    )
    common = CommandParser(add_help=False, argument_default=argparse.SUPPRESS, verbose=False)
    for target in (parser, common):
        add_socket(target, "the daemon's socket", type=Path)
        target.add_argument("--json", action="store_true", help="print the answer as JSON")
        target.add_argument(
            "--timeout", type=duration("s", 0, LONGEST_WAIT), metavar="TIME", help="how long to wait (default: 10s)"
        )
    parser.set_defaults(socket=None, json=False, timeout=10.0)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (text, _, examples) in COMMANDS.items():
        command = commands.add_parser(
            name, help=text, description=f"{text.capitalize()}.", examples=examples, parents=[common]
        )
        command.set_defaults(run=_run_request)
        _add_arguments(name, command)
    add_config(commands)
    add_service_commands(commands)
    return parser


def _add_arguments(name: str, command: CommandParser) -> None:
    """Add what a request takes besides its name."""
    match name:
        case "label":
            command.add_argument("utterance", help="as in the events, such as u-7, or last")
            command.add_argument("label", help="what is right: neutral, calm, happy, sad, angry, ...")
            command.set_defaults(run=_run_label)
        case "taught":
            command.add_argument("--export", type=Path, metavar="FILE", help="write all numbers to a JSON file")
            command.set_defaults(run=_run_taught)
        case "metrics":
            prometheus.add_arguments(command)
            command.set_defaults(run=_run_metrics)
        case "hold":
            text = "such as 5s or 500ms; a plain number is milliseconds (default: until release)"
            command.add_argument("ms", type=_milliseconds, nargs="?", metavar="TIME", help=text)
            command.set_defaults(run=_run_hold)


def _milliseconds(text: str) -> int:
    # The daemon checks the range.
    with contextlib.suppress(ValueError):
        return int(in_unit(text, "ms"))
    raise argparse.ArgumentTypeError(f"expected milliseconds, or a number with {UNITS}, got {text!r}")
