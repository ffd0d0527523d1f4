"""The command line of `ser-mqtt`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ser_bridges import command
from ser_bridges.daemon import Daemon
from ser_bridges.mqtt.bridge import Bridge, forget
from ser_bridges.mqtt.broker import Broker
from ser_bridges.mqtt.settings import COMMANDS, read_settings
from ser_model.command_line import CommandParser

_EXAMPLES = (
    ("ser-mqtt --host homeassistant.local --user ser --password-file mqtt-password --room kitchen", ""),
    ("ser-mqtt --config ~/.config/ser-daemon/mqtt.yaml", "with settings from a file"),
)

_NOTES = "The keys of the settings file are the options with _ for -; options win. It sends results, never audio."


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return command.run(build_parser(), _bridge, argv)


async def _bridge(options: argparse.Namespace) -> None:
    settings = read_settings(options)
    broker = Broker(settings)
    if options.forget:
        await forget(settings, broker)
        return
    await Bridge(settings, Daemon(options.socket, options.control_socket), broker).run()


def build_parser() -> CommandParser:
    """Return the parser of the command line."""
    parser = command.make_parser("ser-mqtt", "Publish the results of ser-daemon on an MQTT broker.", _EXAMPLES, _NOTES)
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings file (YAML)")
    parser.add_argument(
        "--forget", action="store_true", help="remove the device from Home Assistant and the broker, and end"
    )
    broker = parser.add_argument_group("the broker")
    broker.add_argument("--host", help="name or address (default: localhost)")
    broker.add_argument("--port", type=int, help="default: 1883, with TLS 8883")
    broker.add_argument("--user", help="user name at the broker")
    broker.add_argument("--password-file", metavar="FILE", help="its first line is the password")
    broker.add_argument("--tls", action="store_true", default=None, help="encrypt; implied by the next two options")
    broker.add_argument(
        "--ca-file", metavar="FILE", help="authority of the broker's certificate (default: the system's)"
    )
    broker.add_argument("--certificate", metavar="FILE", help="this client's certificate")
    broker.add_argument("--key", metavar="FILE", help="its private key (default: in the same file)")
    topics = parser.add_argument_group("what is published, and where")
    topics.add_argument("--room", help="where the microphone is (default: the name of the machine)")
    topics.add_argument("--id", help="id of the client and the device (default: a number of the machine)")
    topics.add_argument("--topic-prefix", metavar="TOPIC", help="default: ser-daemon")
    topics.add_argument("--partials", action="store_true", default=None, help="also results while somebody speaks")
    topics.add_argument("--discovery-prefix", metavar="TOPIC", help="Home Assistant's (default: homeassistant)")
    topics.add_argument(
        "--no-discovery", dest="discovery", action="store_false", default=None, help="do not announce the device"
    )
    topics.add_argument(
        "--commands", type=_list, metavar="LIST", help=f"commands taken from the broker (default: {','.join(COMMANDS)})"
    )
    return parser


def _list(text: str) -> list[str]:
    """Split a list; an empty text and `none` are an empty list."""
    return [] if text in ("", "none") else [part.strip() for part in text.split(",")]


if __name__ == "__main__":
    raise SystemExit(main())
