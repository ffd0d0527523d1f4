"""The command that measures a finished model on other corpora."""

from __future__ import annotations

import argparse
from pathlib import Path

from ser_model.cli.options import Commands, add_workers, count
from ser_model.console import uninterrupted


def add_world(commands: Commands) -> None:
    """Add `ser-model world`."""
    parser = commands.add_parser(
        "world",
        help="measure a finished model on any corpus",
        examples=(
            ("ser-model world my-recordings", "the shipped model"),
            ("ser-model world open my-recordings", "the model that anybody may use"),
            ("ser-model world runs/first crema-d", "the model of a run"),
        ),
        description="Measure a finished model, the shipped one by default, on people that it never heard: unweighted "
        "average recall, share with a label and share of these that are right, calibration error, order of arousal, "
        "and emotions that are heard where nobody acts. Recordings that the gate misses or splits count as errors. "
        "A corpus is a folder of recordings with index.csv (columns path, speaker, emotion, language; optional sex, "
        "age), or the RAVDESS folder. Writes world.json too.",
    )
    parser.set_defaults(run=_world)
    parser.add_argument(
        "paths",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="corpus folders; before them, a model (either file of a pair, its STEM, or `open`) or an exported RUN",
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="default: RUN/world.json, or world.json")
    parser.add_argument(
        "--cache", type=Path, default=Path("runs/cache"), metavar="DIR", help="frames (default: runs/cache)"
    )
    parser.add_argument("--limit", type=count, metavar="N", help="at most N recordings of a speaker and emotion")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of their choice (default: 0)")
    add_workers(parser)


def _world(arguments: argparse.Namespace) -> None:
    with uninterrupted():
        from ser_model.training.experiments.world import world

    world(
        arguments.paths,
        output=arguments.output,
        cache=arguments.cache,
        limit=arguments.limit,
        seed=arguments.seed,
        workers=arguments.workers,
    )
