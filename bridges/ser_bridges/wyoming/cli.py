"""The command line of `ser-wyoming`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ser_bridges import command
from ser_model.command_line import CommandParser

if TYPE_CHECKING:
    from ser_bridges.wyoming.recognition import RecognitionSettings

# By name: as a script this module is __main__, whose log nobody would see.
log = logging.getLogger("ser_bridges.wyoming.cli")

_EXAMPLES = (
    ("ser-wyoming --uri tcp://127.0.0.1:10700", "for programs on this machine"),
    ("ser-wyoming --uri unix:///run/user/1000/ser.wyoming", "the same, on a socket"),
    ("ser-wyoming --uri tcp://0.0.0.0:10700 --zeroconf", "for satellites in the local network"),
)

_NOTES = """\
Wyoming has neither passwords nor encryption: who reaches the address may send audio, and with --events read what the \
daemon hears. Settings of gate, model and decision are the daemon's (config.yaml, SER_* variables)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return command.run(build_parser(), _bridge, argv)


def build_parser() -> CommandParser:
    """Return the parser of the command line."""
    description = "Serve speech emotion to Wyoming clients, such as satellites."
    parser = command.make_parser("ser-wyoming", description, _EXAMPLES, _NOTES)
    add = parser.add_argument_group("the service").add_argument
    add("--uri", required=True, metavar="URI", help="listen on tcp://HOST:PORT or unix:///PATH")
    add("--events", action="store_true", help="let clients subscribe to the daemon's events")
    add("--zeroconf", nargs="?", const="", metavar="NAME", help="announce the service in the local network")
    add("--max-clients", type=_count, default=128, metavar="N", help="connections served at once (128)")
    add("--threads", type=_count, default=1, metavar="N", help="threads that recognise (1)")
    add = parser.add_argument_group("settings").add_argument
    add("--config", type=Path, metavar="FILE", help="read the daemon's settings from this file first")
    add("--model", metavar="PATH", help="use this exported model")
    return parser


def _count(text: str) -> int:
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
    if not 1 <= value <= 4096:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 to 4096, got {text!r:.20}")
    return value


async def _bridge(options: argparse.Namespace) -> None:
    command.require("wyoming.event", "wyoming")
    from ser_bridges.daemon import Daemon
    from ser_bridges.wyoming.announce import announced, check_announcement
    from ser_bridges.wyoming.connection import Shared
    from ser_bridges.wyoming.encoding import encode_event
    from ser_bridges.wyoming.info import make_info
    from ser_bridges.wyoming.server import Server
    from ser_bridges.wyoming.subscribers import Subscribers
    from ser_bridges.wyoming.workers import Workers
    from ser_daemon.sources.wyoming_uri import TcpAddress, parse_uri

    address = parse_uri(options.uri)
    if options.zeroconf is not None:
        check_announcement(address)
    settings = _settings(options)
    subscribers = Subscribers(Daemon(options.socket, options.control_socket)) if options.events else None
    shared = Shared(settings, Workers(options.threads), encode_event(make_info(settings.model)), subscribers)
    server = Server(shared, options.max_clients)
    try:
        await server.start(address)
        log.info("Serving %s with model %s.", options.uri, settings.model.name)
        async with contextlib.AsyncExitStack() as stack:
            if options.zeroconf is not None and isinstance(address, TcpAddress):
                await stack.enter_async_context(announced(address, options.zeroconf or None))
            await asyncio.Event().wait()
    finally:
        if subscribers is not None:
            subscribers.close()
        await server.close()
        shared.workers.stop()


def _settings(options: argparse.Namespace) -> RecognitionSettings:
    from ser_bridges.wyoming.recognition import RecognitionSettings
    from ser_daemon.config.loading import load_config
    from ser_model.network.estimator import Model

    config = load_config(path=options.config, environ=os.environ, overrides={"model.path": options.model})
    settings = RecognitionSettings(Model.load(config.model.path), config.gate, config.decision)
    # Loads the detector as well, before two threads do so at the same time.
    settings.recognizer()
    return settings


if __name__ == "__main__":
    raise SystemExit(main())
