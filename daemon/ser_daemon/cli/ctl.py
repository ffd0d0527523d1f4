"""`ser-ctl`: sends one request to the daemon and prints the answer."""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ser_daemon.cli import prometheus
from ser_daemon.client import Client, RequestFailed
from ser_daemon.views.answers import describe_hold, describe_info, describe_metrics, describe_status, describe_taught
from ser_daemon.wire.event_reading import ProtocolError
from ser_model import console
from ser_model.atomic_file import replace_file
from ser_model.errors import SerError
from ser_model.printable import printable


def _done(sentence: str) -> Callable[[Mapping[str, Any]], str]:
    """Describe an answer by its own text, or by `sentence` where it has none."""
    return lambda answer: printable(str(answer.get("text") or sentence))


class _Command(NamedTuple):
    """A request that can be named on the command line."""

    help: str
    describe: Callable[[Mapping[str, Any]], str]
    """Puts the answer into words."""


_COMMANDS = {
    "status": _Command("what the daemon is doing", describe_status),
    "mute": _Command("close the microphone, also after a restart", _done("Muted: the microphone is closed.")),
    "unmute": _Command("open the microphone again", _done("Unmuted: the microphone is open again.")),
    "hold": _Command(
        "ignore what is heard (the assistant is talking itself); the microphone stays open",
        describe_hold,
    ),
    "release": _Command("end a hold", _done("Released: listening again.")),
    "reload": _Command("read the settings again; keeps the old ones and says why if they are wrong", _done("Done.")),
    "reset-adaptation": _Command("forget what was learnt about microphone and voice", _done("Done.")),
    "label": _Command("correct the label of an utterance, so that later answers are taught by it", _done("Done.")),
    "taught": _Command("what the voice was taught by: its profile, and corrections", describe_taught),
    "metrics": _Command("counters", describe_metrics),
    "ping": _Command("ask for a sign of life", lambda answer: "The daemon answers."),
    "describe": _Command("which model and which labels", describe_info),
}

LONGEST_WAIT = 86_400.0
"""Longest --timeout in seconds: a day."""

_EPILOG = """\
Without --socket, $SER_SOCKET is used, else your own daemon's socket, else the system's. mute, unmute, hold,
release, reload, reset-adaptation, label and taught go to the control socket beside it.

exit status: 0 done, 1 the daemon refused, 2 no daemon can be reached or the command line is wrong
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run("ser-ctl", lambda: _run(_parser().parse_args(argv)))


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
        console.say(_describe(options.command, answer))
    return 0


def _describe(command: str, answer: Mapping[str, Any]) -> str:
    try:
        return _COMMANDS[command].describe(answer)
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError):
        raise ProtocolError(
            f"The answer to {command!r} is not one of ser-daemon's; does another program listen? --json shows it."
        ) from None


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = console.ArgumentParser(
        prog="ser-ctl",
        description="Ask ser-daemon, or tell it what to do.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    for target in (parser, common):
        target.add_argument("--socket", type=Path, metavar="PATH", help="the daemon's socket")
        target.add_argument("--json", action="store_true", help="print the answer as JSON")
        target.add_argument("--timeout", type=_seconds, metavar="SECONDS", help="how long to wait (default: 10)")
    parser.set_defaults(socket=None, json=False, timeout=10.0)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (text, _) in _COMMANDS.items():
        command = commands.add_parser(name, help=text, description=f"{text.capitalize()}.", parents=[common])
        command.set_defaults(run=_run_request)
        if name == "label":
            command.add_argument("utterance", help="as in the events, such as u-7, or last")
            command.add_argument("label", help="what is right: neutral, calm, happy, sad, angry, ...")
            command.set_defaults(run=_run_label)
        if name == "taught":
            command.add_argument("--export", type=Path, metavar="FILE", help="write all numbers to a JSON file")
            command.set_defaults(run=_run_taught)
        if name == "metrics":
            prometheus.add_arguments(command)
            command.set_defaults(run=_run_metrics)
        if name == "hold":
            command.add_argument("ms", type=int, nargs="?", help="milliseconds (default: until release)")
            command.set_defaults(run=_run_hold)
    return parser


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < (seconds := float(text)) <= LONGEST_WAIT:
            return seconds
    raise argparse.ArgumentTypeError(f"expected more than 0 and at most {LONGEST_WAIT:g} seconds, got {text!r}")
