"""`ser-model robustness` and `ser-model windows`: a run's accuracy beyond clean utterances."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ser_model.console import uninterrupted


def add_parsers(commands: argparse._SubParsersAction[argparse.ArgumentParser], number: Callable[[str], int]) -> None:
    """Add both commands to those of `ser-model`; `number` reads an integer from 1."""
    robustness = commands.add_parser(
        "robustness",
        help="measure a run under noise, in a room, at other levels, over a telephone",
        description="Unweighted average recall of the networks that answer for the test actors, under conditions "
        "that training never heard; recordings that the gate misses or splits count as errors. "
        "Writes RUN/robustness.json too.",
    )
    _add_common(robustness, number)
    robustness.add_argument("--noise", type=Path, metavar="DIR", help="recorded noises (default: none is measured)")
    robustness.add_argument("--rooms", type=Path, metavar="DIR", help="room responses (default: none is measured)")
    windows = commands.add_parser(
        "windows",
        help="measure a run's rolling windows, and what should answer for long speech",
        description="Unweighted average recall of every rolling window of the live path, and for speech of up to "
        "30 s of the running state against means over windows. Writes RUN/windows.json and RUN/long_speech.json.",
    )
    _add_common(windows, number)


def _add_common(parser: argparse.ArgumentParser, number: Callable[[str], int]) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="the --output of `ser-model train`")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of Actor_NN/*.{wav,flac}")
    parser.add_argument("--seeds", type=number, metavar="N", help="only the first N seeds (default: all)")
    parser.add_argument("--workers", type=number, metavar="N", help="processes (default: one per core)")


def _robustness(arguments: argparse.Namespace) -> None:
    with uninterrupted():
        from ser_model.training.experiments.robustness import robustness

    robustness(
        arguments.run,
        arguments.data,
        noise=arguments.noise,
        rooms=arguments.rooms,
        seeds=arguments.seeds,
        workers=arguments.workers,
    )


def _windows(arguments: argparse.Namespace) -> None:
    with uninterrupted():
        from ser_model.training.data.dataset import build
        from ser_model.training.experiments.long_speech import long_speech
        from ser_model.training.experiments.windows import windows
        from ser_model.training.folds.run_folder import RunFolder

    run = RunFolder.open(arguments.run, arguments.seeds)
    corpus = run.corpus(arguments.data)
    cache = arguments.run.parent / "cache"
    dataset = build(corpus, cache=cache, workers=arguments.workers)
    windows(run, dataset)
    long_speech(run, corpus, arguments.workers)


ACTIONS: Final[dict[str, Callable[[argparse.Namespace], None]]] = {"robustness": _robustness, "windows": _windows}
"""What each command does, by its name."""
