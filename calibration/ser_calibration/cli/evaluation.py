"""`ser-calibrate confidence`, `unknown` and `smoothing`: what a run's networks are worth as a daemon's model."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from ser_model.console import uninterrupted
from ser_model.errors import SerError


def add_model_parsers(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], number: Callable[[str], int]
) -> None:
    """Add the three commands to those of `ser-calibrate`; `number` reads an integer from 1."""
    confidence = commands.add_parser(
        "confidence",
        help="fit a run's temperatures and measure how honest its confidence is",
        description="Fits temperatures, by how much was heard, on validation actors, and measures on "
        "test actors expected calibration error, Brier score, negative log-likelihood and accuracy against coverage. "
        "Writes RUN/confidence.json, which `ser-model export` takes them from.",
    )
    unknown = commands.add_parser(
        "unknown",
        help="measure when a run's networks say unknown, on speech and on an hour of noise",
        description="Chooses the threshold of `unknown` for a precision on validation actors and what sounds unlike "
        "speech; measures on test actors what is still labelled, whether the gate finds speech in unseen noise, and "
        "what an hour without speech leads to. Writes RUN/unknown.json, which `ser-model export` reads.",
    )
    smoothing = commands.add_parser(
        "smoothing",
        help="compare ways to smooth partial answers",
        description="Label changes against delay to the right label, on single utterances and on speech whose emotion "
        "changes, of test actors. Writes RUN/smoothing.json.",
    )
    for parser in (confidence, unknown, smoothing):
        parser.add_argument("run", type=Path, metavar="RUN", help="the --output of ser-model train")
        parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of Actor_NN/*.{wav,flac}")
        parser.add_argument("--seeds", type=number, metavar="N", help="only the first N seeds (default: all)")
        parser.add_argument("--workers", type=number, metavar="N", help="processes (default: one per core)")
    unknown.add_argument(
        "--noise", type=Path, required=True, metavar="DIR", help="recorded noises, as for ser-model train"
    )
    unknown.add_argument("--rooms", type=Path, metavar="DIR", help="room responses (default: none)")
    unknown.add_argument(
        "--precision", type=_share, metavar="P", help="share of right labels to choose the threshold for"
    )
    unknown.add_argument(
        "--seconds", type=number, metavar="N", help="length of the noise without speech (default: an hour)"
    )


def _share(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < (value := float(text)) < 1:
            return value
    raise argparse.ArgumentTypeError(f"expected a number between 0 and 1, got {text!r}")


def _confidence(options: argparse.Namespace) -> None:
    from ser_calibration.evaluation.confidence import confidence

    confidence(options.run, options.data, seeds=options.seeds, workers=options.workers)


def _unknown(options: argparse.Namespace) -> None:
    from ser_calibration.evaluation.unknown import unknown

    chosen = {name: getattr(options, name) for name in ("precision", "seconds") if getattr(options, name) is not None}
    unknown(
        options.run, options.data, options.noise, options.rooms, seeds=options.seeds, workers=options.workers, **chosen
    )


def _smoothing(options: argparse.Namespace) -> None:
    from ser_calibration.evaluation.smoothing import smoothing

    smoothing(options.run, options.data, seeds=options.seeds, workers=options.workers)


ACTIONS: Final[dict[str, Callable[[argparse.Namespace], None]]] = {
    "confidence": _confidence,
    "unknown": _unknown,
    "smoothing": _smoothing,
}
"""What each command does, by its name."""


def run_model(options: argparse.Namespace) -> int:
    """Do what one of the commands asks for.

    Raises:
        SerError: what training needs is not installed, or a folder isn't what is expected.
    """
    for module in ("torch", "scipy", "onnx"):
        if find_spec(module) is None:
            raise SerError(f"{module} is not installed: pip install 'ser-daemon[train]'")
    # Imported here, where Ctrl-C can't hit a C library half set up.
    with uninterrupted():
        import torch
    torch.set_num_threads(1)
    try:
        ACTIONS[options.command](options)
    except OSError as error:
        if error.filename is None:
            raise
        raise SerError(f"{error.filename}: {error.strerror}") from error
    return 0
