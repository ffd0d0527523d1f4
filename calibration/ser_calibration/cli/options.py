"""Options that several commands of `ser-calibrate` share; `ser_model.cli.options` holds those of both programs."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

from ser_daemon.paths import SYSTEM_CONFIG
from ser_model.cli.options import add_data, count


def add_microphone(parser: argparse.ArgumentParser) -> None:
    """Add the choice of a microphone."""
    parser.add_argument(
        "--mic", "--device", dest="device", metavar="DEVICE", help="as in ser-daemon --mic (default: as configured)"
    )
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
    add_data(parser)


def add_seeds(parser: argparse.ArgumentParser) -> None:
    """Add a limit of the seeds."""
    parser.add_argument("--seeds", type=count, metavar="N", help="only the first N seeds (default: all)")


def share(text: str) -> float:
    """Parse a number between 0 and 1, both excluded."""
    with contextlib.suppress(ValueError):
        if 0 < (value := float(text)) < 1:
            return value
    raise argparse.ArgumentTypeError(f"expected a number between 0 and 1, got {text!r}")
