"""`python -m ser_daemon.install`: what `make install-service` runs before anything is installed."""

from __future__ import annotations

import argparse
import sys

from ser_daemon.install import command
from ser_model import console
from ser_model.command_line import CommandParser


def main() -> int:
    """Run the command; return its exit status."""
    parser = CommandParser(prog="ser-daemon", description="Install ser-daemon as a service, or remove it.")
    command.add_commands(parser.add_subparsers(metavar="ACTION", required=True))
    options: argparse.Namespace = parser.parse_args()
    return console.run("ser-daemon", lambda: int(options.run(options)), interrupted="Interrupted.")


if __name__ == "__main__":
    sys.exit(main())
