"""`ser-model reproduce`, `tune` and `generalise`: what trains many networks to answer a question."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from ser_model.console import uninterrupted
from ser_model.errors import SerError

_Number = Callable[[str], int]


def add_parsers(commands: argparse._SubParsersAction[argparse.ArgumentParser], number: _Number) -> None:
    """Add the commands to those of `ser-model`; `number` reads an integer from 1."""
    reproduce = commands.add_parser(
        "reproduce",
        help="train the paper's networks by its protocol, and print its table beside ours",
        description="Train LSTM-SA and ResLSTM-SA of three sizes as arXiv 2606.03359 does: its features at 48 kHz, its "
        "five folds, the best epoch on the validation actors. One file for each network and seed: an interrupted "
        "run goes on. On a processor, ten seeds take hours.",
    )
    reproduce.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the results")
    reproduce.add_argument("--seeds", type=number, default=10, metavar="N", help="seeds 0 to N-1 (default: 10)")
    reproduce.add_argument("--epochs", type=number, metavar="N", help="length of the training (default: 100)")
    _add_common(reproduce, number)
    _add_tune(commands, number)
    generalise = commands.add_parser(
        "generalise",
        help="measure how a run's recipe carries over: actor by actor, sex, intensity, statement",
        description="Train networks on 23 actors each and let them answer for the 24th; and divide the answers of "
        "the run's folds by sex, intensity and statement. Writes RUN/generalisation.json too.",
    )
    generalise.add_argument("run", type=Path, metavar="RUN", help="the --output of `ser-model train`")
    generalise.add_argument("--seeds", type=number, default=1, metavar="N", help="seeds 0 to N-1 (default: 1)")
    _add_common(generalise, number)
    _add_surroundings(generalise)


def _add_tune(commands: argparse._SubParsersAction[argparse.ArgumentParser], number: _Number) -> None:
    tune = commands.add_parser(
        "tune",
        help="search settings, scored on validation actors alone",
        description="Search settings by Optuna's TPE, pruning what falls behind. The study lies in a database: the "
        "same command goes on with it, and several machines can share one. Says too what scoring on the test folds "
        "would have claimed.",
    )
    tune.add_argument("--recipe", choices=("ours", "paper"), default="ours", help="whose settings (default: ours)")
    tune.add_argument("--trials", type=number, default=20, metavar="N", help="trials to add (default: 20)")
    tune.add_argument(
        "--storage", default="sqlite:///tune.db", metavar="URL", help="SQLAlchemy URL (default: sqlite:///tune.db)"
    )
    tune.add_argument("--study", default="ser-model", metavar="NAME", help="name in the database (default: ser-model)")
    tune.add_argument(
        "--parallel", type=number, default=1, metavar="N", help="trials trained side by side, unpruned (for a GPU)"
    )
    tune.add_argument("--cache", type=Path, default=Path("runs/cache"), metavar="DIR", help="default: runs/cache")
    _add_common(tune, number)
    _add_surroundings(tune)


def _add_common(parser: argparse.ArgumentParser, number: _Number) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of Actor_NN/*.{wav,flac}")
    parser.add_argument("--workers", type=number, metavar="N", help="processes (default: one per core)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="cuda: many networks side by side")


def _add_surroundings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--noise", type=Path, metavar="DIR", help="recorded noises (default: generated ones only)")
    parser.add_argument("--rooms", type=Path, metavar="DIR", help="room responses (default: none)")


def _need(module: str) -> None:
    if find_spec(module) is None:
        raise SerError(f"{module} is not installed: pip install 'ser-daemon[train]'")


def _reproduce(arguments: argparse.Namespace) -> None:
    _need("librosa")
    with uninterrupted():
        from ser_model.training.experiments.reproduce import reproduce

    reproduce(arguments)


def _tune(arguments: argparse.Namespace) -> None:
    _need("optuna")
    with uninterrupted():
        from ser_model.training.experiments.tune import tune

    tune(arguments)


def _generalise(arguments: argparse.Namespace) -> None:
    with uninterrupted():
        from ser_model.training.experiments.generalise import generalise

    generalise(arguments)


ACTIONS: Final[dict[str, Callable[[argparse.Namespace], None]]] = {
    "reproduce": _reproduce,
    "tune": _tune,
    "generalise": _generalise,
}
"""What each command does, by its name."""
