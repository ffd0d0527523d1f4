"""The command line of `ser-calibrate`: its commands, and its exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from ser_calibration.cli import evaluation, microphone, speaker, teach
from ser_model import console
from ser_model.command_line import CommandParser

_EXAMPLES = (
    ("ser-calibrate mic", "measure the microphone; ser-daemon uses what was found"),
    ("ser-calibrate speaker anna", "learn a voice; then set adaptation.speaker: anna"),
)

_STATUSES = {
    0: "done",
    2: "it could not be done, or the command line is wrong; one sentence on stderr says why",
    130: "Ctrl-C; nothing was written",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0 done, 2 could not be done, 130 interrupted."""
    code = console.run("ser-calibrate", lambda: _run(arguments), "interrupted, nothing was written")
    return exit_process(code)


def _run(arguments: Sequence[str] | None) -> int:
    options = build_parser().parse_args(arguments)
    options.run(options)
    return 0


def build_parser() -> CommandParser:
    """Return the parser of the command line."""
    parser = CommandParser(
        prog="ser-calibrate",
        description="Measure what ser-daemon hears: a microphone in its room, and a voice. The other commands measure "
        "the networks of a run of ser-model, and need the train extra.",
        examples=_EXAMPLES,
        notes="ser-calibrate COMMAND --help explains a command.",
        statuses=_STATUSES,
        version=True,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    microphone.add_command(commands)
    speaker.add_command(commands)
    teach.add_command(commands)
    evaluation.add_commands(commands)
    return parser


def exit_process(code: int) -> int:
    """Return the exit code. Where a hung sound library would block the interpreter's exit, end the process instead."""
    # The module loads NumPy; without it, no device was opened.
    if "ser_calibration.microphone.recording_session" in sys.modules:
        from ser_calibration.microphone.recording_session import is_device_hung

        if is_device_hung():
            os._exit(code)
    return code


if __name__ == "__main__":
    sys.exit(main())
