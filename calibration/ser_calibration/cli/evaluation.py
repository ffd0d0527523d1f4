"""The commands of `ser-calibrate` that evaluate the networks of a run."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ser_calibration.cli.options import add_run, add_seeds, share
from ser_model.cli.options import TRAINING, Commands, add_workers, count, require, whole_seconds
from ser_model.console import uninterrupted

if TYPE_CHECKING:
    from ser_calibration.evaluation.run_data import RunSource


def add_commands(commands: Commands) -> None:
    """Add the seven commands to those of `ser-calibrate`."""
    _add_path(commands)
    _add_adaptation(commands)
    _add_confidence(commands)
    _add_unknown(commands)
    _add_smoothing(commands)
    _add_cross_corpus(commands)
    _add_teaching(commands)


def _add_path(commands: Commands) -> None:
    parser = commands.add_parser(
        "path",
        help="measure what the way through sound server and daemon costs in accuracy",
        examples=(("ser-calibrate path runs/first --data ravdess", ""),),
        description="Plays recordings in real time to daemons on virtual microphones (a PulseAudio of its own), and "
        "compares their answers with those of the same networks on the files. Writes RUN/path.json too.",
    )
    add_run(parser)
    parser.add_argument("--recordings", type=count, default=120, metavar="N", help="how many to play (default: 120)")
    parser.set_defaults(run=_path)


def _add_adaptation(commands: Commands) -> None:
    parser = commands.add_parser(
        "adaptation",
        help="fit what adapting to a speaker needs, and measure what it is worth",
        examples=(("ser-calibrate adaptation runs/first --data ravdess", ""),),
        description="Fits on validation actors which logits are typical of each answer, lets speakers whom a run's "
        "networks have not heard speak 60 utterances in random orders, and compares the last 40 with and without "
        "adaptation, and with a profile of the first 20. Writes RUN/adaptation.json, which `ser-model export` reads; "
        "without it a model can't be adapted.",
    )
    add_run(parser)
    add_seeds(parser)
    parser.add_argument(
        "--orders", type=count, default=10, metavar="N", help="of every actor and scenario (default: 10)"
    )
    parser.add_argument(
        "--validation", action="store_true", help="compare settings on the validation actors by the validation networks"
    )
    parser.set_defaults(run=_adaptation, workers=None)


def _add_confidence(commands: Commands) -> None:
    parser = commands.add_parser(
        "confidence",
        help="fit a run's temperatures and measure how honest its confidence is",
        examples=(("ser-calibrate confidence runs/first --data ravdess", ""),),
        description="Fits temperatures, by how much was heard, on validation actors, and measures on "
        "test actors expected calibration error, Brier score, negative log-likelihood and accuracy against coverage. "
        "Writes RUN/confidence.json, which `ser-model export` takes them from.",
    )
    _add_source(parser)
    parser.set_defaults(run=_confidence)


def _add_unknown(commands: Commands) -> None:
    parser = commands.add_parser(
        "unknown",
        help="measure when a run's networks say unknown, on speech and on an hour of noise",
        examples=(("ser-calibrate unknown runs/first --data ravdess --noise noise --seconds 10min", ""),),
        description="Chooses the threshold of `unknown` for a precision on validation actors and what sounds unlike "
        "speech; measures on test actors what is still labelled, whether the gate finds speech in unseen noise, and "
        "what an hour without speech leads to. Writes RUN/unknown.json, which `ser-model export` reads.",
    )
    _add_source(parser)
    parser.add_argument(
        "--noise", type=Path, required=True, metavar="DIR", help="recorded noises, as for ser-model train"
    )
    parser.add_argument("--rooms", type=Path, metavar="DIR", help="room responses (default: none)")
    parser.add_argument(
        "--precision", type=share, metavar="P", help="share of right labels to choose the threshold for"
    )
    parser.add_argument(
        "--seconds", type=whole_seconds, metavar="TIME", help="length of the noise without speech (default: an hour)"
    )
    parser.set_defaults(run=_unknown)


def _add_smoothing(commands: Commands) -> None:
    parser = commands.add_parser(
        "smoothing",
        help="compare ways to smooth partial answers",
        examples=(("ser-calibrate smoothing runs/first --data ravdess", ""),),
        description="Label changes against delay to the right label, on single utterances and on speech whose emotion "
        "changes, of test actors. Writes RUN/smoothing.json.",
    )
    _add_source(parser)
    parser.set_defaults(run=_smoothing)


def _add_cross_corpus(commands: Commands) -> None:
    parser = commands.add_parser(
        "cross-corpus",
        help="fit what a model that learned from several corpora says to strangers",
        examples=(("ser-calibrate cross-corpus runs/cross --noise noise", ""),),
        description="Fits temperatures, the threshold of `unknown`, the probability of high activation, and which "
        "logits are typical, on the answers of networks for corpora that they never heard; measures each corpus with "
        "values that were fitted without it. With --noise, also what sounds unlike speech. Writes "
        "RUN/calibration.json, which `ser-model export` reads.",
    )
    parser.add_argument("folder", type=Path, metavar="RUN", help="the --output of ser-model cross-corpus")
    parser.add_argument("--noise", type=Path, metavar="DIR", help="recorded noises, as for ser-model train")
    parser.add_argument(
        "--seconds", type=whole_seconds, metavar="TIME", help="length of the noise without speech (default: an hour)"
    )
    add_workers(parser)
    parser.set_defaults(run=_cross_corpus)


def _add_teaching(commands: Commands) -> None:
    parser = commands.add_parser(
        "teaching",
        help="measure what a speaker's own examples are worth",
        examples=(("ser-calibrate teaching runs/cross", ""),),
        description="Lets speakers of corpora that a run's networks never heard teach a few examples, and tests all "
        "others: by number of examples, with wrong labels, in other rooms, another speaker, corrections in daily life. "
        "Writes RUN/teaching.json too.",
    )
    parser.add_argument("folder", type=Path, metavar="RUN", help="the --output of ser-model cross-corpus")
    parser.add_argument(
        "--settings", action="store_true", help="compare settings of the head; writes RUN/teaching_settings.json"
    )
    add_seeds(parser)
    add_workers(parser)
    parser.set_defaults(run=_teaching)


def _add_source(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    add_seeds(parser)
    add_workers(parser)


def _path(options: argparse.Namespace) -> None:
    with _training_imports():
        from ser_calibration.evaluation.path import measure_path

    measure_path(options.folder, options.data, options.recordings)


def _adaptation(options: argparse.Namespace) -> None:
    with _training_imports():
        from ser_calibration.evaluation.adaptation import measure_adaptation

    measure_adaptation(_source(options), orders=options.orders, validation=options.validation)


def _confidence(options: argparse.Namespace) -> None:
    with _training_imports():
        from ser_calibration.evaluation.confidence import measure_confidence

    measure_confidence(_source(options))


def _unknown(options: argparse.Namespace) -> None:
    with _training_imports():
        from ser_calibration.evaluation.unknown import measure_unknown

    measure_unknown(
        _source(options), options.noise, options.rooms, precision=options.precision, seconds=options.seconds
    )


def _smoothing(options: argparse.Namespace) -> None:
    with _training_imports():
        from ser_calibration.evaluation.smoothing import measure_smoothing

    measure_smoothing(_source(options))


def _cross_corpus(options: argparse.Namespace) -> None:
    with _training_imports():
        from ser_calibration.cross_corpus.calibrate import calibrate

    calibrate(options.folder, options.noise, seconds_of_noise=options.seconds, workers=options.workers)


def _teaching(options: argparse.Namespace) -> None:
    with _training_imports():
        from ser_calibration.teaching_evaluation.teaching import measure_teaching

    measure_teaching(options.folder, seeds=options.seeds, workers=options.workers, settings=options.settings)


def _source(options: argparse.Namespace) -> RunSource:
    from ser_calibration.evaluation.run_data import RunSource

    return RunSource(options.folder, options.data, seeds=options.seeds, workers=options.workers)


@contextlib.contextmanager
def _training_imports() -> Iterator[None]:
    """Import what needs the train extra, without an interruption.

    Raises:
        SerError: the train extra is not installed.
    """
    require(*TRAINING)
    with uninterrupted():
        yield
