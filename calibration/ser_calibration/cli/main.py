"""The command line of `ser-calibrate`: its commands, and its exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from ser_calibration.cli import evaluation, microphone, speaker, teach
from ser_model import console


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0 done, 2 could not be done, 130 interrupted."""
    code = console.run("ser-calibrate", lambda: _run(arguments), "interrupted, nothing was written")
    return exit_process(code)


def _run(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    options.run(options)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = console.ArgumentParser(
        prog="ser-calibrate", description="Measure what ser-daemon hears."
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
