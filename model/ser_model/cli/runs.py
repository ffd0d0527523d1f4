"""The commands that make a run, evaluate it, and export its final network."""

from __future__ import annotations

import argparse
from pathlib import Path

from ser_model.cli.corpora import VARIANTS, add_corpora, check_options, corpora_run
from ser_model.cli.options import (
    TRAINING,
    Commands,
    add_augmentation,
    add_data,
    add_device,
    add_run,
    add_workers,
    count,
    count_from_zero,
    require,
)
from ser_model.console import uninterrupted
from ser_model.errors import SerError

RAVDESS_VARIANTS = 16
"""Augmented versions of a recording of RAVDESS."""


def add_train(commands: Commands) -> None:
    """Add `ser-model train`."""
    parser = commands.add_parser(
        "train",
        help="train the five folds, or the final network",
        examples=(
            ("ser-model train --data ravdess --output runs/first --seeds 5", "five folds, five seeds"),
            ("ser-model train --data ravdess --output runs/first --final", "the network to be exported"),
            ("ser-model train --corpus ravdess=ravdess --corpus mine=my-recordings --output runs/mine", ""),
        ),
        description="Train the five folds of arXiv 2606.03359 for one or more seeds; go on where a run was "
        "interrupted. Before a fold's networks come its teachers, once for all seeds. With --final, train on all "
        "actors what `ser-model export` ships. With --corpus in place of --data, train on any corpora: five networks "
        "for each seed, each without one fifth of the speakers of every corpus.",
    )
    parser.set_defaults(run=_train)
    add_data(parser, required=False)
    parser.add_argument("--output", type=Path, required=True, metavar="RUN", help="folder for the results")
    parser.add_argument("--variant", choices=("h32", "h64", "h128"), default="h64", help="size (default: h64)")
    parser.add_argument("--seeds", type=count, default=1, metavar="N", help="train seeds 0 to N-1 (default: 1)")
    parser.add_argument("--epochs", type=count, metavar="N", help="length of the training (default: the recipe's)")
    parser.add_argument(
        "--variants",
        type=count_from_zero,
        metavar="N",
        help=f"augmented versions of a recording (default: {RAVDESS_VARIANTS}; with --corpus: {VARIANTS})",
    )
    add_augmentation(parser)
    add_corpora(parser)
    parser.add_argument("--final", action="store_true", help="train seed 0 on all actors, to be shipped")
    parser.add_argument("--allow-missing", action="store_true", help="go on with an incomplete corpus")
    add_workers(parser)
    add_device(parser)


def add_evaluate(commands: Commands) -> None:
    """Add `ser-model evaluate`."""
    parser = commands.add_parser(
        "evaluate",
        help="print a run's accuracy",
        examples=(("ser-model evaluate runs/first", ""),),
        description="Unweighted average recall over the pooled out-of-fold predictions of every seed; recordings "
        "that the gate misses or splits count as errors. Writes RUN/evaluation.json too.",
    )
    parser.set_defaults(run=_evaluate)
    add_run(parser)
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="cut these recordings with today's gate, and answer anew"
    )


def add_export(commands: Commands) -> None:
    """Add `ser-model export`."""
    parser = commands.add_parser(
        "export",
        help="write the final network as ONNX",
        examples=(
            ("ser-model export runs/first --output mine-h64", "writes mine-h64.window.onnx and mine-h64.stream.onnx"),
            ("ser-model export --check mine-h64", "are both files sound?"),
        ),
        description="Write STEM.window.onnx and STEM.stream.onnx from the run's final network, with temperature "
        "and threshold from its validation actors, and check both against PyTorch; STEM.sha256 holds their sums.",
    )
    parser.set_defaults(run=_export)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("folder", type=Path, nargs="?", metavar="RUN", help="the --output of `ser-model train --final`")
    what.add_argument(
        "--check", type=Path, metavar="FILE", help="write nothing: check either file of a pair, or both by their STEM"
    )
    parser.add_argument("--output", type=Path, metavar="STEM", help="default: RUN/reslstm-sa-VARIANT")
    parser.add_argument("--training-data", metavar="TEXT", help="what the file says that the network learned from")
    parser.add_argument("--licence", metavar="TEXT", help="what the file says of the licence of the weights")


def add_report(commands: Commands) -> None:
    """Add `ser-model report`."""
    parser = commands.add_parser(
        "report",
        help="draw a run as a page to read in a browser",
        examples=(
            ("ser-model report runs/first --data ravdess", "then open runs/first/report/index.html"),
            ("ser-model report runs/many", "a run on several corpora, after `ser-calibrate cross-corpus`"),
        ),
        description="Write DIR/index.html: figures and pictures of a run, explained, in one file that loads nothing "
        "from elsewhere; and the pictures as PNG beside it.",
    )
    parser.set_defaults(run=_report)
    add_run(parser)
    parser.add_argument("--data", type=Path, metavar="DIR", help="the recordings of a run on RAVDESS")
    parser.add_argument("--output", type=Path, metavar="DIR", help="default: RUN/report")


def _train(arguments: argparse.Namespace) -> None:
    if arguments.corpus:
        _train_corpora(arguments)
        return
    check_options(arguments)
    if arguments.data is None:
        raise SerError("train needs --data DIR, the RAVDESS folder, or --corpus NAME=DIR")
    require(*TRAINING)
    with uninterrupted():
        from ser_model.training.commands import train

    train(
        arguments.data,
        arguments.output,
        variant=arguments.variant,
        seeds=arguments.seeds,
        epochs=arguments.epochs,
        variants=RAVDESS_VARIANTS if arguments.variants is None else arguments.variants,
        noise=arguments.noise,
        rooms=arguments.rooms,
        final=arguments.final,
        allow_missing=arguments.allow_missing,
        workers=arguments.workers,
        device=arguments.device,
    )


def _train_corpora(arguments: argparse.Namespace) -> None:
    if arguments.data is not None:
        raise SerError(f"--data is not for --corpus; name RAVDESS as a corpus, --corpus ravdess={arguments.data}")
    if arguments.device != "cpu" or arguments.allow_missing:
        option = "--allow-missing" if arguments.allow_missing else "--device"
        raise SerError(f"{option} is only for --data, not for --corpus")
    run = corpora_run(arguments)
    from ser_model.training.corpora.cross_corpus import train_final, train_folds

    if arguments.final:
        train_final(run)
    else:
        train_folds(run, arguments.seeds)


def _evaluate(arguments: argparse.Namespace) -> None:
    require(*TRAINING)
    with uninterrupted():
        from ser_model.training.folds.evaluate import evaluate, repeat_predictions

    if arguments.data is not None:
        repeat_predictions(arguments.folder, arguments.data)
    evaluate(arguments.folder)


def _export(arguments: argparse.Namespace) -> int:
    if arguments.check is not None:
        from ser_model.network.verification import verify

        return verify(arguments.check)
    require(*TRAINING)
    with uninterrupted():
        from ser_model.training.commands import export_run

    export_run(arguments.folder, arguments.output, arguments.training_data, arguments.licence)
    return 0


def _report(arguments: argparse.Namespace) -> None:
    require(*TRAINING, "matplotlib")
    with uninterrupted():
        from ser_model.training.report.report import report

    print(report(arguments.folder, arguments.data, arguments.output))
