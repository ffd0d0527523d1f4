"""The commands that measure a run further, or train many networks to answer a question."""

from __future__ import annotations

import argparse
from pathlib import Path

from ser_model.cli.options import (
    TRAINING,
    Commands,
    add_augmentation,
    add_data,
    add_device,
    add_run,
    add_workers,
    count,
    require,
)
from ser_model.console import uninterrupted
from ser_model.errors import SerError


def add_robustness(commands: Commands) -> None:
    """Add `ser-model robustness`."""
    parser = commands.add_parser(
        "robustness",
        help="measure a run under noise, in a room, at other levels, over a telephone",
        examples=(("ser-model robustness runs/first --data ravdess --noise noise --rooms rooms", ""),),
        description="Unweighted average recall of the networks that answer for the test actors, under conditions "
        "that training never heard; recordings that the gate misses or splits count as errors. Of a run on several "
        "corpora: the networks that never heard a corpus, on it. Writes RUN/robustness.json too.",
    )
    parser.set_defaults(run=_robustness)
    add_run(parser)
    add_data(parser, required=False)
    parser.add_argument("--seeds", type=count, metavar="N", help="with --data: only the first N seeds (default: all)")
    parser.add_argument(
        "--limit", type=count, metavar="N", help="of several corpora: N recordings of a speaker and emotion"
    )
    add_workers(parser)
    parser.add_argument("--noise", type=Path, metavar="DIR", help="recorded noises (default: none is measured)")
    parser.add_argument("--rooms", type=Path, metavar="DIR", help="room responses (default: none is measured)")


def add_windows(commands: Commands) -> None:
    """Add `ser-model windows`."""
    parser = commands.add_parser(
        "windows",
        help="measure a run's rolling windows, and what should answer for long speech",
        examples=(("ser-model windows runs/first --data ravdess", ""),),
        description="Unweighted average recall of every rolling window of the live path, and for speech of up to "
        "30 s of the running state against means over windows. Writes RUN/windows.json and RUN/long_speech.json.",
    )
    parser.set_defaults(run=_windows)
    _add_measured(parser)


def _add_measured(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    add_data(parser)
    parser.add_argument("--seeds", type=count, metavar="N", help="only the first N seeds (default: all)")
    add_workers(parser)


def add_reproduce(commands: Commands) -> None:
    """Add `ser-model reproduce`."""
    parser = commands.add_parser(
        "reproduce",
        help="train the paper's networks by its protocol, and print its table beside ours",
        examples=(("ser-model reproduce --data ravdess --output runs/paper --seeds 10", ""),),
        description="Train LSTM-SA and ResLSTM-SA of three sizes as arXiv 2606.03359 does: its features at 48 kHz, its "
        "five folds, the best epoch on the validation actors. One file for each network and seed: an interrupted "
        "run goes on. On a processor, ten seeds take hours.",
    )
    parser.set_defaults(run=_reproduce)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument("--seeds", type=count, default=10, metavar="N", help="seeds 0 to N-1 (default: 10)")
    parser.add_argument("--epochs", type=count, metavar="N", help="length of the training (default: 100)")
    _add_trained(parser)


def add_tune(commands: Commands) -> None:
    """Add `ser-model tune`."""
    parser = commands.add_parser(
        "tune",
        help="search settings, scored on validation actors alone",
        examples=(("ser-model tune --data ravdess --trials 50", ""),),
        description="Search settings by Optuna's TPE, pruning what falls behind. The study lies in a database: the "
        "same command goes on with it, and several machines can share one. Says too what scoring on the test folds "
        "would have claimed.",
    )
    parser.set_defaults(run=_tune)
    parser.add_argument("--recipe", choices=("ours", "paper"), default="ours", help="whose settings (default: ours)")
    parser.add_argument("--trials", type=count, default=20, metavar="N", help="trials to add (default: 20)")
    parser.add_argument(
        "--storage", default="sqlite:///tune.db", metavar="URL", help="SQLAlchemy URL (default: sqlite:///tune.db)"
    )
    parser.add_argument(
        "--study", default="ser-model", metavar="NAME", help="name in the database (default: ser-model)"
    )
    parser.add_argument(
        "--parallel", type=count, default=1, metavar="N", help="trials trained side by side, unpruned (for a GPU)"
    )
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"), metavar="DIR", help="default: runs/cache")
    _add_trained(parser)
    add_augmentation(parser)


def add_generalise(commands: Commands) -> None:
    """Add `ser-model generalise`."""
    parser = commands.add_parser(
        "generalise",
        help="measure how a run's recipe carries over: actor by actor, sex, intensity, statement",
        examples=(("ser-model generalise runs/first --data ravdess", ""),),
        description="Train networks on 23 actors each and let them answer for the 24th; and divide the answers of "
        "the run's folds by sex, intensity and statement. Writes RUN/generalisation.json too.",
    )
    parser.set_defaults(run=_generalise)
    add_run(parser)
    parser.add_argument("--seeds", type=count, default=1, metavar="N", help="seeds 0 to N-1 (default: 1)")
    _add_trained(parser)
    add_augmentation(parser)


def _add_trained(parser: argparse.ArgumentParser) -> None:
    add_data(parser)
    add_workers(parser)
    add_device(parser)


def _robustness(arguments: argparse.Namespace) -> None:
    require(*TRAINING)
    with uninterrupted():
        from ser_model.training.corpora.corpora_run import is_corpora_run
        from ser_model.training.corpora.robustness import robustness_of_corpora
        from ser_model.training.experiments.robustness import robustness

    sounds = {"noise": arguments.noise, "rooms": arguments.rooms, "workers": arguments.workers}
    if is_corpora_run(arguments.folder):
        robustness_of_corpora(arguments.folder, limit=arguments.limit, **sounds)
        return
    if arguments.data is None:
        raise SerError(
            f"{arguments.folder}: is no run on several corpora; for a run on RAVDESS add --data and the folder of its "
            "recordings"
        )
    robustness(arguments.folder, arguments.data, seeds=arguments.seeds, **sounds)


def _windows(arguments: argparse.Namespace) -> None:
    require(*TRAINING)
    with uninterrupted():
        from ser_model.training.data.dataset import build
        from ser_model.training.experiments.long_speech import long_speech
        from ser_model.training.experiments.windows import measure_windows
        from ser_model.training.folds.run_folder import RunFolder

    run = RunFolder.open(arguments.folder, arguments.seeds)
    corpus = run.corpus(arguments.data)
    dataset = build(corpus, cache=arguments.folder.parent / "cache", workers=arguments.workers)
    measure_windows(run, dataset)
    long_speech(run, corpus, arguments.workers)


def _reproduce(arguments: argparse.Namespace) -> None:
    require(*TRAINING, "librosa")
    with uninterrupted():
        from ser_model.training.experiments.reproduce import reproduce

    reproduce(
        arguments.data,
        arguments.output,
        seeds=arguments.seeds,
        epochs=arguments.epochs,
        workers=arguments.workers,
        device=arguments.device,
    )


def _tune(arguments: argparse.Namespace) -> None:
    require(*TRAINING, "optuna")
    with uninterrupted():
        from ser_model.training.experiments.tune import tune

    tune(
        arguments.data,
        recipe=arguments.recipe,
        trials=arguments.trials,
        storage=arguments.storage,
        study_name=arguments.study,
        parallel=arguments.parallel,
        cache=arguments.cache,
        noise=arguments.noise,
        rooms=arguments.rooms,
        workers=arguments.workers,
        device=arguments.device,
    )


def _generalise(arguments: argparse.Namespace) -> None:
    require(*TRAINING)
    with uninterrupted():
        from ser_model.training.experiments.generalise import generalise

    generalise(
        arguments.folder,
        arguments.data,
        seeds=arguments.seeds,
        noise=arguments.noise,
        rooms=arguments.rooms,
        workers=arguments.workers,
        device=arguments.device,
    )
