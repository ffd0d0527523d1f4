"""The command line of `ser-web`."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ser_bridges import command
from ser_bridges.web.access import host_name, is_address, make_token, read_token
from ser_model.command_line import CommandParser
from ser_model.errors import SerError

if TYPE_CHECKING:
    from ser_bridges.web.server import Settings

# By name: as a script this module is __main__, whose log nobody would see.
log = logging.getLogger("ser_bridges.web.cli")

PORT = 8737

_EXAMPLES = (
    ("ser-web", "for a browser on this machine: open the link that it prints"),
    ("ser-web --token-file ~/.config/ser-daemon/web-token", "the same link after each start"),
    ("ser-web --host 0.0.0.0 --name kitchen.local", "for the local network"),
)

_NOTES = """\
Whoever has the link sees what the daemon hears, and may mute it unless --read-only is given. It sends results, never \
audio."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return command.run(build_parser(), _bridge, argv)


def build_parser() -> CommandParser:
    """Return the parser of the command line."""
    description = "Show the results of ser-daemon in a browser, and serve them as WebSocket and server-sent events."
    parser = command.make_parser("ser-web", description, _EXAMPLES, _NOTES)
    add = parser.add_argument_group("the service").add_argument
    add("--host", default="127.0.0.1", help="listen on this name or address (127.0.0.1: this machine only)")
    add("--port", type=_port, default=PORT, help=f"listen on this port ({PORT}); 0 means a free one")
    add(
        "--name", action="append", default=[], type=_name, help="a name in links to this machine, such as kitchen.local"
    )
    add("--token-file", type=Path, metavar="FILE", help="its first line is the token (default: a new one each time)")
    add("--read-only", action="store_true", help="refuse to mute and to hold")
    add("--max-clients", type=_count, default=16, metavar="N", help="pages and programs served at once (16)")
    return parser


def _port(text: str) -> int:
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else -1
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 to 65535, got {text!r:.20}")
    return value


def _count(text: str) -> int:
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 5 else 0
    if not 1 <= value <= 1024:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 to 1024, got {text!r:.20}")
    return value


def _name(text: str) -> str:
    name = host_name(text)
    if not name or name != text.lower():
        raise argparse.ArgumentTypeError(f"expected a name such as kitchen.local, got {text!r:.60}")
    return name


async def _bridge(options: argparse.Namespace) -> None:
    command.require("aiohttp", "web")
    from aiohttp import web

    from ser_bridges.web.listening import SPARE, Connections, listen
    from ser_bridges.web.server import WebService

    # It would write each request that is no HTTP to the log.
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)
    settings = _settings(options)
    await _look_for_daemon(options.socket)
    service = WebService(settings)
    runner = web.AppRunner(
        service.application(), access_log=None, shutdown_timeout=1.0, keepalive_timeout=15.0, handler_cancellation=True
    )
    await runner.setup()
    try:
        assert runner.server is not None
        service.connections = Connections(runner.server, settings.max_clients + SPARE)
        server, port = await listen(service.connections, options.host, options.port)
        _announce(options, settings.token, port)
        try:
            await asyncio.Event().wait()
        finally:
            server.close()
    finally:
        await runner.cleanup()


def _settings(options: argparse.Namespace) -> Settings:
    from ser_bridges.web.server import Settings

    if options.token_file is None and _is_journal(sys.stdout.fileno()):
        raise SerError(
            "The link with the token would be kept in the journal; name a file with the token: --token-file."
        )
    token = make_token() if options.token_file is None else read_token(options.token_file)
    names = {*options.name, *([] if is_address(options.host) else [options.host.lower()])}
    return Settings(
        token=token,
        names=frozenset(names),
        socket=options.socket,
        control_socket=options.control_socket,
        read_only=options.read_only,
        max_clients=options.max_clients,
    )


async def _look_for_daemon(socket: Path | None) -> None:
    """Say once that no daemon runs; raise `NotAllowed` where none could ever be reached."""
    from ser_bridges.web.relay import connect
    from ser_daemon.client import NotRunning

    try:
        _reader, writer = await connect(socket)
    except NotRunning as error:
        log.warning("%s Waiting for it.", error)
    else:
        writer.close()


def _announce(options: argparse.Namespace, token: str, port: int) -> None:
    """Print the link; warn where other machines may reach the service."""
    host = options.name[0] if options.name else options.host
    if is_address(host):
        address = ipaddress.ip_address(host)
        if address.is_unspecified:
            host = "ADDRESS-OF-THIS-MACHINE"
        elif address.version == 6:
            host = f"[{host}]"
    # A token from a file is known to those who may know it; it stays out of terminals and logs.
    shown = token if options.token_file is None else "TOKEN"
    source = "" if options.token_file is None else f" (the token is in {options.token_file})"
    print(f"Open http://{host}:{port}/#token={shown}{source}", flush=True)
    if not (
        options.host == "localhost" or (is_address(options.host) and ipaddress.ip_address(options.host).is_loopback)
    ):
        log.warning(
            "Other machines can connect. There is no encryption: who reads the network's traffic learns the token."
        )


def _is_journal(descriptor: int) -> bool:
    """Whether a descriptor leads to the journal (systemd.exec(5), $JOURNAL_STREAM)."""
    status = os.fstat(descriptor)
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


if __name__ == "__main__":
    raise SystemExit(main())
