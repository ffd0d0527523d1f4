"""Options that several commands of the daemon share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ser_daemon.paths import SYSTEM_SOCKET

_SCHEME = "unix://"


def add_socket(parser: argparse.ArgumentParser | argparse._ArgumentGroup, text: str, **options: Any) -> None:
    """Add `--socket` and `--uri`, of which only one may be given. Both set `socket`.

    Args:
        parser: gets the options.
        text: the help of `--socket`.
        options: further arguments of its `add_argument`.
    """
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--socket", metavar="PATH", help=text, **options)
    group.add_argument(
        "--uri", dest="socket", type=socket_uri, metavar="URI", help=f"the same as a URI: unix://{SYSTEM_SOCKET}"
    )


def socket_uri(text: str) -> Path:
    """Parse the URI of a socket, as Wyoming's programs write it: `unix:///run/ser-daemon/ser.sock`."""
    path = text.removeprefix(_SCHEME)
    if path == text or not path.startswith("/"):
        raise argparse.ArgumentTypeError(
            f"expected unix:// and an absolute path, such as unix://{SYSTEM_SOCKET}, got {text!r}"
        )
    return Path(path)
