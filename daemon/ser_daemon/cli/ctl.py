"""`ser-ctl`: asks the daemon, and tells it what to do."""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ser_daemon.client import Client, RequestFailed
from ser_daemon.views.text import describe_state, printable
from ser_model import console

_COMMANDS = {
    "status": "what the daemon is doing",
    "mute": "close the microphone, also after a restart",
    "unmute": "open the microphone again",
    "hold": "ignore what is heard (the assistant is talking itself); the microphone stays open",
    "release": "end a hold",
    "reload": "read the settings again; keeps the old ones and says why if they are wrong",
    "reset-adaptation": "forget what was learnt about microphone and voice",
    "metrics": "counters",
    "ping": "ask for a sign of life",
    "describe": "which model and which labels",
}

LONGEST_WAIT = 86_400.0
"""Seconds that --timeout may ask for: a day."""

_EPILOG = """\
Without --socket, $SER_SOCKET is used, else your own daemon's socket, else the system's. mute, unmute, hold,
release, reload and reset-adaptation go to the control socket beside it.

exit status: 0 done, 1 the daemon refused, 2 no daemon can be reached or the command line is wrong
"""

_DONE = {
    "mute": "Muted: the microphone is closed.",
    "unmute": "Unmuted: the microphone is open again.",
    "release": "Released: listening again.",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run("ser-ctl", lambda: _run(_parser().parse_args(argv)))


def _run(options: argparse.Namespace) -> int:
    data: dict[str, object] = {}
    if options.command == "hold" and options.ms is not None:
        data["ms"] = options.ms
    try:
        answer = Client(options.socket, timeout=options.timeout).request(options.command, **data)
    except RequestFailed as error:
        console.say("ser-ctl", str(error))
        return 1
    print(json.dumps(answer) if options.json else human(options.command, answer))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
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
    for name, text in _COMMANDS.items():
        command = commands.add_parser(name, help=text, description=f"{text.capitalize()}.", parents=[common])
        if name == "hold":
            command.add_argument("ms", type=int, nargs="?", help="milliseconds (default: until release)")
    return parser


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < (seconds := float(text)) <= LONGEST_WAIT:
            return seconds
    raise argparse.ArgumentTypeError(f"expected more than 0 and at most {LONGEST_WAIT:g} seconds, got {text!r}")


def human(command: str, answer: Mapping[str, Any]) -> str:
    """Put an answer into words."""
    match command:
        case "status":
            return _status(answer)
        case "metrics":
            return "\n".join(f"{name:<32}{_number(value):>14}" for name, value in sorted(answer.items()))
        case "ping":
            return "The daemon answers."
        case "describe":
            return _describe(answer)
        case "hold":
            ms = answer.get("ms")
            return "Held until `ser-ctl release`." if ms is None else f"Held for {ms / 1000:g} s."
        case "reload" | "reset-adaptation":
            return printable(str(answer.get("text") or "Done."))
    return _DONE[command]


def _status(answer: Mapping[str, Any]) -> str:
    speech = "somebody speaks" if answer.get("speaking") else "nobody speaks"
    state = describe_state(str(answer.get("state")), answer.get("device"), answer.get("reason"))
    uptime = _duration(float(answer.get("uptime_seconds") or 0))
    rows = [
        ("state", f"{state}, {speech}" if answer.get("state") == "listening" else state),
        ("level", f"{_db(answer.get('level_dbfs'))}, noise floor {_db(answer.get('noise_floor_dbfs'))}"),
        ("model", f"{answer.get('model')}{_adaptation(answer)}"),
        (
            "running",
            f"version {answer.get('version')}, for {uptime}",
        ),
        ("events", f"{answer.get('seq')} published"),
    ]
    return "\n".join(f"{name:<9}{printable(text)}" for name, text in rows)


def _adaptation(answer: Mapping[str, Any]) -> str:
    """What the model is adapted by, to follow its name."""
    match answer.get("adaptation"):
        case "running":
            return f", adapted to {float(answer.get('adaptation_seconds') or 0):.0f} s of speech"
        case "profile":
            return ", adapted by a speaker's profile"
    return ""


def _describe(answer: Mapping[str, Any]) -> str:
    lines = []
    for program in answer.get("ser", []):
        lines.append(f"{program['name']} {program['version']}, protocol {program['protocol']}")
        lines += [f"model {model['name']}: {' '.join(model['labels'])}" for model in program["models"]]
    return "\n".join(map(printable, lines))


def _db(level: float | None) -> str:
    return "unknown" if level is None else f"{level:.1f} dBFS"


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _duration(seconds: float) -> str:
    minutes, hours = int(seconds // 60) % 60, int(seconds // 3600)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {int(seconds) % 60} s" if minutes else f"{seconds:.0f} s"
