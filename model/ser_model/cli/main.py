"""`ser-model`: train, evaluate and export the network."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ser_model import console
from ser_model.cli import corpora, experiments, runs, world

_EXAMPLES = """\
examples:
  ser-model train --data ravdess --output runs/first --seeds 5 --noise noise --rooms rooms
  ser-model evaluate runs/first
  ser-model robustness runs/first --data ravdess --noise noise --rooms rooms
  ser-model windows runs/first --data ravdess
  ser-model generalise runs/first --data ravdess --noise noise --rooms rooms
  ser-model reproduce --data ravdess --output runs/paper --seeds 10
  ser-model train --data ravdess --output runs/first --noise noise --rooms rooms --final
  ser-model export runs/first --output runs/first/reslstm-sa-h64
  ser-model train --corpus ravdess=ravdess --corpus mine=my-recordings --output runs/mine
  ser-model cross-corpus --corpus ravdess=ravdess --corpus crema-d=crema-d --output runs/cross
  ser-model world crema-d my-recordings
  ser-model world runs/first crema-d

RAVDESS (Audio_Speech_Actors_01-24) is Zenodo record 1188976; any folder of Actor_NN/*.wav or *.flac will do.
"""


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = console.ArgumentParser(
        prog="ser-model",
        description="Make and measure the network that ser-daemon runs.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for add in (
        runs.add_train,
        runs.add_evaluate,
        runs.add_export,
        experiments.add_robustness,
        experiments.add_windows,
        experiments.add_reproduce,
        experiments.add_tune,
        experiments.add_generalise,
        world.add_world,
        corpora.add_cross_corpus,
        runs.add_report,
    ):
        add(commands)
    return parser


def _run(arguments: argparse.Namespace) -> int:
    return arguments.run(arguments) or 0


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status: 0, 2 after an error in arguments or files, 130 after Ctrl-C."""
    return console.run(
        "ser-model",
        lambda: _run(_parser().parse_args(argv)),
        "interrupted; the same command goes on where this one stopped",
    )
