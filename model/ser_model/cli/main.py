"""`ser-model`: train, evaluate and export the network."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ser_model import console
from ser_model.cli import corpora, experiments, runs, world
from ser_model.command_line import CommandParser

_EXAMPLES = (
    ("ser-model train --data ravdess --output runs/first --seeds 5", "train five folds"),
    ("ser-model evaluate runs/first", "how good are they?"),
    ("ser-model report runs/first --data ravdess", "the same as a page with pictures"),
    ("ser-model train --data ravdess --output runs/first --final", "train the network to be exported"),
    ("ser-model export runs/first", "write it as a file for ser-daemon --model"),
    ("ser-model world my-recordings", "measure the shipped model on your recordings"),
)

_NOTES = """\
RAVDESS (Audio_Speech_Actors_01-24) is Zenodo record 1188976; any folder of Actor_NN/*.wav or *.flac will do. All \
commands but `export --check` and `world` need the train extra: pip install 'ser-daemon[train]'.

ser-model COMMAND --help explains a command."""

_STATUSES = {
    0: "done",
    2: "it could not be done, or the command line is wrong; one sentence on stderr says why",
    130: "Ctrl-C; the same command goes on where this one stopped",
}


def build_parser() -> CommandParser:
    """Return the parser of the command line."""
    parser = CommandParser(
        prog="ser-model",
        description="Make and measure the network that ser-daemon runs.",
        examples=_EXAMPLES,
        notes=_NOTES,
        statuses=_STATUSES,
        version=True,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
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
        lambda: _run(build_parser().parse_args(argv)),
        "interrupted; the same command goes on where this one stopped",
    )
