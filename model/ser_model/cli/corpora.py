"""Options and commands for training on several corpora."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ser_model.cli.options import TRAINING, Commands, add_augmentation, add_workers, count, count_from_zero, require
from ser_model.console import uninterrupted
from ser_model.errors import SerError
from ser_model.labels import LABELS

if TYPE_CHECKING:
    from ser_model.training.corpora.corpora_run import CorporaRun

VARIANTS = 3
"""Augmented versions of a recording: several corpora differ more than the versions of one recording."""


def add_cross_corpus(commands: Commands) -> None:
    """Add `ser-model cross-corpus`."""
    parser = commands.add_parser(
        "cross-corpus",
        help="train on all corpora but one, and measure on that one",
        examples=(
            ("ser-model cross-corpus --corpus ravdess=ravdess --corpus crema-d=crema-d --output runs/cross", ""),
        ),
        description="For each corpus train a network on all others, and measure it on the one that it never heard. "
        "One file for each network: an interrupted run goes on. Every answer counts, as no threshold of `unknown` "
        "is fitted. Writes RUN/cross_corpus.json too.",
    )
    parser.set_defaults(run=_cross_corpus)
    parser.add_argument("--output", type=Path, required=True, metavar="RUN", help="folder for the results")
    parser.add_argument("--variant", choices=("h32", "h64", "h128"), default="h64", help="size (default: h64)")
    parser.add_argument("--seeds", type=count, default=1, metavar="N", help="train seeds 0 to N-1 (default: 1)")
    parser.add_argument("--epochs", type=count, metavar="N", help="length of the training (default: the recipe's)")
    parser.add_argument(
        "--variants", type=count_from_zero, metavar="N", help=f"augmented versions of a recording (default: {VARIANTS})"
    )
    add_augmentation(parser)
    add_corpora(parser)
    add_workers(parser)


def add_corpora(parser: argparse.ArgumentParser) -> None:
    """Add the corpora, and what is learned from them."""
    parser.add_argument(
        "--corpus",
        type=_named_folder,
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="a folder with index.csv (path, speaker, emotion, language), or RAVDESS; repeat it for each corpus",
    )
    _add_choice_of_speakers(parser)
    _add_targets(parser)


def _add_targets(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--examples",
        type=_named_count,
        action="append",
        default=[],
        metavar="NAME=N",
        help="with --corpus: examples of a corpus in an epoch (default: as many as it has recordings)",
    )
    parser.add_argument(
        "--never",
        choices=LABELS,
        action="append",
        default=[],
        help="with --corpus: a label that no corpus has, and that the network never gives; repeat it for each",
    )
    parser.add_argument(
        "--votes",
        type=_share,
        default=0.0,
        metavar="SHARE",
        help="with --corpus: weight of listeners' votes against the label (default: 0)",
    )
    parser.add_argument(
        "--teachers",
        type=_share,
        default=0.0,
        metavar="SHARE",
        help="with --corpus: weight of the answers of teachers, which are trained first, each without one corpus more "
        "(default: 0, no teachers)",
    )
    parser.add_argument(
        "--ordinary-as-neutral", action="store_true", help="with --corpus: learn speech in which nobody acts as neutral"
    )
    parser.add_argument(
        "--all-classes", action="store_true", help="with --corpus: loss also over classes that a corpus does not have"
    )
    parser.add_argument(
        "--l2", type=_from_zero, metavar="X", help="with --corpus: L2 of the training (default: the recipe's)"
    )


def _add_choice_of_speakers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--only-measure",
        action="append",
        default=[],
        metavar="NAME",
        help="with --corpus: a corpus that no network learns from; repeat it for each",
    )
    parser.add_argument(
        "--leave-out",
        type=_speaker,
        action="append",
        default=[],
        metavar="NAME/SPEAKER",
        help="with --corpus: a speaker of a corpus that no network hears; repeat it for each",
    )


def _named_folder(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    # The name becomes part of the names of files.
    if not equals or not folder or not name.replace("-", "").replace("_", "").isalnum():
        raise argparse.ArgumentTypeError(f"expected NAME=DIR with a name of letters, digits, - and _, got {text!r}")
    return name, Path(folder)


def _named_count(text: str) -> tuple[str, int]:
    name, _, number = text.rpartition("=")
    if not name:
        raise argparse.ArgumentTypeError(f"expected NAME=N, got {text!r}")
    return name, count(number)


def _speaker(text: str) -> str:
    name, _, speaker = text.partition("/")
    if not name or not speaker:
        raise argparse.ArgumentTypeError(f"expected NAME/SPEAKER, got {text!r}")
    return text


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text!r}")
    return share


def _from_zero(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number from 0, got {text!r}")
    return number


def check_options(arguments: argparse.Namespace) -> None:
    """Check that options for several corpora are not given without any.

    Raises:
        SerError: One is.
    """
    given = {
        "--examples": arguments.examples,
        "--leave-out": arguments.leave_out,
        "--only-measure": arguments.only_measure,
        "--never": arguments.never,
        "--votes": arguments.votes,
        "--teachers": arguments.teachers,
        "--ordinary-as-neutral": arguments.ordinary_as_neutral,
        "--all-classes": arguments.all_classes,
        "--l2": arguments.l2 is not None,
    }
    for option, value in given.items():
        if value:
            raise SerError(f"{option} is for --corpus NAME=DIR; RAVDESS too can be given so, as --corpus ravdess=DIR")


def corpora_run(arguments: argparse.Namespace) -> CorporaRun:
    """Make a run of the arguments."""
    require(*TRAINING)
    with uninterrupted():
        from ser_model.training.corpora.corpora_run import CorporaRun
        from ser_model.training.corpora.recording_pool import TargetConfig
        from ser_model.training.networks.fit_config import FitConfig

    usual = FitConfig()
    return CorporaRun(
        folders=tuple(arguments.corpus),
        output=arguments.output,
        config=FitConfig(
            variant=arguments.variant,
            epochs=arguments.epochs or usual.epochs,
            l2=usual.l2 if arguments.l2 is None else arguments.l2,
        ),
        targets=TargetConfig(
            votes=arguments.votes,
            all_classes=arguments.all_classes,
            ordinary=arguments.ordinary_as_neutral,
            only_measured=tuple(arguments.only_measure),
            never=tuple(arguments.never),
            teachers=arguments.teachers,
            examples=dict(arguments.examples),
        ),
        variants=VARIANTS if arguments.variants is None else arguments.variants,
        noise=arguments.noise,
        rooms=arguments.rooms,
        workers=arguments.workers,
        left_out=tuple(arguments.leave_out),
    )


def _cross_corpus(arguments: argparse.Namespace) -> None:
    if not arguments.corpus:
        raise SerError("cross-corpus needs --corpus NAME=DIR, at least twice")
    run = corpora_run(arguments)
    from ser_model.training.corpora.cross_corpus import cross_corpus

    cross_corpus(run, arguments.seeds)
