"""Options that several commands of `ser-model` share."""

from __future__ import annotations

import argparse
import contextlib
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

from ser_model.command_line import CommandParser
from ser_model.durations import UNITS, in_unit
from ser_model.errors import SerError

Commands: TypeAlias = "argparse._SubParsersAction[CommandParser]"
"""A string, as the class cannot be subscripted at run time."""

TRAINING: tuple[str, ...] = ("torch", "scipy", "onnx")
"""Modules that every command except `export --check` needs."""


def require(*modules: str) -> None:
    """Check that optional modules are installed, without importing them.

    Raises:
        SerError: One is not installed.
    """
    for module in modules:
        if find_spec(module) is None:
            raise SerError(f"{module} is not installed: pip install 'ser-daemon[train]'")


def count(text: str, least: int = 1) -> int:
    """Parse an integer from 1, or from `least`."""
    with contextlib.suppress(ValueError):
        if (number := int(text)) >= least:
            return number
    raise argparse.ArgumentTypeError(f"expected an integer from {least}, got {text!r}")


def count_from_zero(text: str) -> int:
    """Parse an integer from 0."""
    return count(text, least=0)


def whole_seconds(text: str) -> int:
    """Parse whole seconds, from 1: a plain number, or one with a unit."""
    with contextlib.suppress(ValueError):
        if (number := int(in_unit(text, "s"))) >= 1:
            return number
    raise argparse.ArgumentTypeError(f"expected whole seconds from 1, or a number with {UNITS}, got {text!r}")


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add the folder of a run."""
    parser.add_argument("folder", type=Path, metavar="RUN", help="the --output of `ser-model train`")


def add_data(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Add the RAVDESS folder."""
    parser.add_argument("--data", type=Path, required=required, metavar="DIR", help="folder of Actor_NN/*.{wav,flac}")


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add the number of processes."""
    parser.add_argument("--workers", type=count, metavar="N", help="processes (default: one per core)")


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add the device that trains."""
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="cuda: many networks side by side")


def add_augmentation(parser: argparse.ArgumentParser) -> None:
    """Add the folders of noises and room responses that training uses."""
    parser.add_argument("--noise", type=Path, metavar="DIR", help="recorded noises (default: generated ones only)")
    parser.add_argument("--rooms", type=Path, metavar="DIR", help="room responses (default: none)")
