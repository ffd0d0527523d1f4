"""`ser-model`: train, evaluate and export the network."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from ser_model import console
from ser_model.cli import measure, search
from ser_model.errors import SerError

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

RAVDESS (Audio_Speech_Actors_01-24) is Zenodo record 1188976; any folder of Actor_NN/*.wav or *.flac will do.
"""

_MEASURING = {**measure.ACTIONS, **search.ACTIONS}


def _count(text: str) -> int:
    with contextlib.suppress(ValueError):
        if (number := int(text)) >= 1:
            return number
    raise argparse.ArgumentTypeError(f"expected an integer from 1, got {text!r}")


def _add_train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "train",
        help="train the five folds, or the final network",
        description="Train the five folds of arXiv 2606.03359 for one or more seeds; go on where a run was "
        "interrupted. Before a fold's networks come its teachers, once for all seeds. With --final, train on all "
        "actors what `ser-model export` ships.",
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of Actor_NN/*.{wav,flac}")
    parser.add_argument("--output", type=Path, required=True, metavar="RUN", help="folder for the results")
    parser.add_argument("--variant", choices=("h32", "h64", "h128"), default="h64", help="size (default: h64)")
    parser.add_argument("--seeds", type=_count, default=1, metavar="N", help="train seeds 0 to N-1 (default: 1)")
    parser.add_argument("--epochs", type=_count, metavar="N", help="length of the training (default: the recipe's)")
    parser.add_argument(
        "--variants", type=_count, default=16, metavar="N", help="augmented versions of a recording (default: 16)"
    )
    parser.add_argument("--noise", type=Path, metavar="DIR", help="recorded noises (default: generated ones only)")
    parser.add_argument("--rooms", type=Path, metavar="DIR", help="room responses (default: none)")
    parser.add_argument("--final", action="store_true", help="train seed 0 on all actors, to be shipped")
    parser.add_argument("--allow-missing", action="store_true", help="go on with an incomplete corpus")
    parser.add_argument("--workers", type=_count, metavar="N", help="processes (default: one per core)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="cuda: many networks side by side")


def _add_report(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "report",
        help="draw a run as a page to read in a browser",
        description="Write DIR/index.html: figures and pictures of a run, explained, in one file that loads nothing "
        "from elsewhere; and the pictures as PNG beside it.",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the --output of `ser-model train`")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the recordings it was trained on")
    parser.add_argument("--output", type=Path, metavar="DIR", help="default: RUN/report")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ser-model",
        description="Make the network that ser-daemon runs.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    _add_train(commands)
    evaluate = commands.add_parser(
        "evaluate",
        help="print a run's accuracy",
        description="Unweighted average recall over the pooled out-of-fold predictions of every seed; recordings "
        "that the gate misses or splits count as errors. Writes RUN/evaluation.json too.",
    )
    evaluate.add_argument("run", type=Path, metavar="RUN", help="the --output of `ser-model train`")
    evaluate.add_argument(
        "--data", type=Path, metavar="DIR", help="cut these recordings with today's gate, and answer anew"
    )
    export = commands.add_parser(
        "export",
        help="write the final network as ONNX",
        description="Write STEM.window.onnx and STEM.stream.onnx from the run's final network, with temperature "
        "and threshold from its validation actors, and check both against PyTorch; STEM.sha256 holds their sums.",
    )
    what = export.add_mutually_exclusive_group(required=True)
    what.add_argument("run", type=Path, nargs="?", metavar="RUN", help="the --output of `ser-model train --final`")
    what.add_argument(
        "--check", type=Path, metavar="FILE", help="write nothing: check either file of a pair, or both by their STEM"
    )
    export.add_argument("--output", type=Path, metavar="STEM", help="default: RUN/reslstm-sa-VARIANT")
    measure.add_parsers(commands, _count)
    search.add_parsers(commands, _count)
    _add_report(commands)
    return parser


def _run(arguments: argparse.Namespace) -> int:
    if arguments.command == "export" and arguments.check is not None:
        from ser_model.network.verification import verify

        return verify(arguments.check)
    for module in ("torch", "scipy", "onnx"):
        if find_spec(module) is None:
            raise SerError(f"{module} is not installed: pip install 'ser-daemon[train]'")
    with console.uninterrupted():
        from ser_model.training import commands
        from ser_model.training.folds import evaluate

    try:
        if arguments.command == "train":
            commands.train(arguments)
        elif arguments.command == "evaluate":
            if arguments.data is not None:
                evaluate.gate_again(arguments.run, arguments.data)
            evaluate.evaluate(arguments.run)
        elif arguments.command == "report":
            _report(arguments)
        elif arguments.command in _MEASURING:
            _MEASURING[arguments.command](arguments)
        else:
            commands.export_run(arguments.run, arguments.output)
    except OSError as error:
        if error.filename is None:
            raise
        raise SerError(f"{error.filename}: {error.strerror}") from error
    return 0


def _report(arguments: argparse.Namespace) -> None:
    if find_spec("matplotlib") is None:
        raise SerError("matplotlib is not installed: pip install 'ser-daemon[train]'")
    with console.uninterrupted():
        from ser_model.training.report.report import report

    print(report(arguments.run, arguments.data, arguments.output))


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code: 0, 2 for a mistake in words or files, 130 after Ctrl-C."""
    return console.run(
        "ser-model",
        lambda: _run(_parser().parse_args(argv)),
        "interrupted; the same command goes on where this one stopped",
    )
