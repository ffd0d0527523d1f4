"""The command line of `ser-mqtt`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ser_bridges import command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return command.run(_parser(), _bridge, argv)


def _parser() -> argparse.ArgumentParser:
    return command.make_parser("ser-mqtt", "Publish the results of ser-daemon on an MQTT broker.")


async def _bridge(options: argparse.Namespace) -> None:
    command.require("aiomqtt", "mqtt")


if __name__ == "__main__":
    raise SystemExit(main())
