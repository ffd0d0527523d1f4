"""The command line of `ser-ovos`."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence

from ser_bridges import command
from ser_bridges.daemon import Daemon
from ser_bridges.ovos.address import BusAddress, parse_url
from ser_model.command_line import CommandParser

_EXAMPLES = (
    ("ser-ovos", "the bus of Open Voice OS's own settings"),
    ("ser-ovos --url ws://127.0.0.1:8181/core", ""),
)

_NOTES = """\
It sends results, never audio. Whoever reaches the message bus reads them; the bus has no passwords, so leave it on \
127.0.0.1."""

LONGEST_ECHO = 10_000
"""Milliseconds."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return command.run(build_parser(), _bridge, argv)


async def _bridge(options: argparse.Namespace) -> None:
    address = BusAddress() if options.url is None else parse_url(options.url)
    for library in ("combo_lock", "websocket"):
        # What they say is said by the bridge in its own words, or, of a folder that a sandbox hides, no matter.
        logging.getLogger(library).setLevel(logging.CRITICAL)
    command.require("ovos_bus_client.message", "ovos")
    from ser_bridges.ovos.bridge import Bridge

    daemon = Daemon(options.socket, options.control_socket)
    await Bridge(daemon, address, None if options.no_hold else options.echo).run()


def build_parser() -> CommandParser:
    """Return the parser of the command line."""
    description = "Send the results of ser-daemon to the message bus of Open Voice OS."
    parser = command.make_parser("ser-ovos", description, _EXAMPLES, _NOTES)
    add = parser.add_argument_group("the message bus").add_argument
    add("--url", metavar="URL", help="ws://HOST:PORT/ROUTE (default: from Open Voice OS's settings)")
    add("--no-hold", action="store_true", help="let the daemon listen while the assistant speaks")
    add(
        "--echo",
        type=_milliseconds,
        default=300,
        metavar="MS",
        help="audio to ignore after the assistant has spoken (300)",
    )
    return parser


def _milliseconds(text: str) -> int:
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else -1
    if not 0 <= value <= LONGEST_ECHO:
        raise argparse.ArgumentTypeError(f"expected milliseconds from 0 to {LONGEST_ECHO}, got {text!r:.20}")
    return value


if __name__ == "__main__":
    raise SystemExit(main())
