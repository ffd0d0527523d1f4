"""Arguments that several commands of `ser-calibrate` share, and the types of their values."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import TypeAlias

from ser_daemon.paths import SYSTEM_CONFIG

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""What `ArgumentParser.add_subparsers` returns."""


def add_microphone(parser: argparse.ArgumentParser) -> None:
    """Add the choice of a microphone."""
    parser.add_argument("--device", metavar="NAME", help="the microphone, as in ser-daemon --mic")
    parser.add_argument("--channel", type=int, metavar="N", help="channel, from 1 (default: the mean of all)")


def add_output(parser: argparse.ArgumentParser, text: str) -> None:
    """Add the choice of a profile's place; `text` is the help of `--output`."""
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--output", type=Path, metavar="FILE", help=text)
    place.add_argument(
        "--system", action="store_true", help=f"write it for the system service, below {SYSTEM_CONFIG.parent}"
    )


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add a run and its recordings."""
    parser.add_argument("folder", type=Path, metavar="RUN", help="the --output of ser-model train")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of Actor_NN/*.{wav,flac}")


def count(text: str) -> int:
    """Read an integer from 1."""
    with contextlib.suppress(ValueError):
        if (number := int(text)) >= 1:
            return number
    raise argparse.ArgumentTypeError(f"expected an integer from 1, got {text!r}")


def share(text: str) -> float:
    """Read a number between 0 and 1, both excluded."""
    with contextlib.suppress(ValueError):
        if 0 < (value := float(text)) < 1:
            return value
    raise argparse.ArgumentTypeError(f"expected a number between 0 and 1, got {text!r}")
