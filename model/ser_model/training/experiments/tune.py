"""What `ser-model tune` does: a search for settings, scored on validation actors alone.

Tree-structured Parzen estimator with median pruning (Optuna: Akiba et al. 2019, arXiv 1907.10902). The study lies in a
database, so that it can be resumed and shared by several machines.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from ser_model.errors import SerError
from ser_model.training.data.corpus import VALIDATION_ACTORS, load_corpus
from ser_model.training.data.dataset import Dataset, build
from ser_model.training.experiments import paper
from ser_model.training.experiments.paper import Answers
from ser_model.training.folds.trainer import check_device
from ser_model.training.networks.fit import FitConfig
from ser_model.training.scores import uar

if TYPE_CHECKING:
    from optuna import Study, Trial

_LOOK_EVERY = 10
"""Epochs between two looks at the validation actors, at which a trial may be pruned."""


def suggest_paper(trial: Trial) -> FitConfig:
    """The paper's search: rate, L2, dropout, batch and length of the cosine cycle."""
    return replace(
        paper.RECIPE,
        learning_rate=trial.suggest_float("learning_rate", 1e-3, 3e-2, log=True),
        l2=trial.suggest_float("l2", 1e-4, 5e-3, log=True),
        dropout=trial.suggest_float("dropout", 0.0, 0.6),
        batch=trial.suggest_categorical("batch", [16, 32, 64]),
        restart_epochs=trial.suggest_categorical("restart_epochs", [0, 5, 10]),
    )


def suggest_ours(trial: Trial) -> FitConfig:
    """The recipe of `ser-model train`, without teachers: they would cost each trial eight times as much."""
    return FitConfig(
        hard_share=1.0,
        learning_rate=trial.suggest_float("learning_rate", 2e-3, 1.2e-2, log=True),
        l2=trial.suggest_float("l2", 5e-4, 3e-3, log=True),
        dropout=trial.suggest_float("dropout", 0.0, 0.4),
        label_smoothing=trial.suggest_float("label_smoothing", 0.0, 0.15),
        offset=trial.suggest_float("offset", 0.1, 0.5),
        jitter=trial.suggest_float("jitter", 0.0, 0.3),
        tempo=trial.suggest_float("tempo", 0.0, 0.2),
        clean_share=trial.suggest_float("clean_share", 0.1, 0.5),
        crop_share=trial.suggest_float("crop_share", 0.1, 0.5),
    )


RECIPES = {"paper": suggest_paper, "ours": suggest_ours}


def tune(arguments: argparse.Namespace) -> None:
    """Search as the command line asks, and print the best trials."""
    check_device(arguments.device)
    corpus = load_corpus(arguments.data, allow_missing=False)
    cache = arguments.cache
    if arguments.recipe == "paper":
        dataset = paper.frames(corpus, cache, arguments.workers)
    else:
        dataset = build(
            corpus, variants=16, noise=arguments.noise, rooms=arguments.rooms, cache=cache, workers=arguments.workers
        )
    study = open_study(arguments.storage, f"{arguments.study}-{arguments.recipe}")
    search(study, dataset, arguments.recipe, arguments.trials, arguments.parallel, arguments.device)
    show(study)


def open_study(storage: str, name: str) -> Study:
    """Create a study, or go on with it.

    Args:
        storage: an SQLAlchemy URL, such as `sqlite:///tune.db`.
        name: of the study in it.

    Raises:
        SerError: the storage can't be opened.
    """
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(logging.WARNING)
    try:
        return optuna.create_study(
            storage=storage,
            study_name=name,
            direction="maximize",
            load_if_exists=True,
            sampler=optuna.samplers.TPESampler(multivariate=True, constant_liar=True, n_startup_trials=20),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=8, n_warmup_steps=20),
        )
    except (SQLAlchemyError, ImportError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise SerError(
            f"--storage {storage}: expected an SQLAlchemy URL such as sqlite:///tune.db ({reason})"
        ) from error


def search(study: Study, dataset: Dataset, recipe: str, trials: int, parallel: int = 1, device: str = "cpu") -> None:
    """Add trials to a study.

    Args:
        study: from `open_study`.
        dataset: the frames.
        recipe: a key of `RECIPES`.
        trials: how many.
        parallel: trained side by side, worth it on a GPU; these are not pruned.
        device: `cpu` or `cuda`.
    """
    with Progress() as bar:
        task = bar.add_task("trials", total=trials)
        for at in range(0, trials, parallel):
            asked = [study.ask() for _ in range(min(parallel, trials - at))]
            configs = [RECIPES[recipe](trial) for trial in asked]
            for batch in sorted({config.batch for config in configs}):
                own = [index for index, config in enumerate(configs) if config.batch == batch]
                _try(study, dataset, [asked[i] for i in own], [configs[i] for i in own], device)
                bar.advance(task, len(own))


def _try(study: Study, dataset: Dataset, trials: Sequence[Trial], configs: Sequence[FitConfig], device: str) -> None:
    from optuna import TrialPruned
    from optuna.trial import TrialState

    def after_epoch(epoch: int, scores: list[float]) -> None:
        for trial, score in zip(trials, scores, strict=True):
            trial.report(score, epoch)
        if len(trials) == 1 and trials[0].should_prune():
            raise TrialPruned

    seeds = [trial.number for trial in trials]
    try:
        answers = paper.cross_validate(dataset, configs, seeds, device, _LOOK_EVERY, after_epoch)
    except TrialPruned:
        study.tell(trials[0], state=TrialState.PRUNED)
        return
    for trial, one in zip(trials, answers, strict=True):
        validation, test, peeked = _scores(dataset, one)
        trial.set_user_attr("test", test)
        trial.set_user_attr("peeked", peeked)
        study.tell(trial, validation)


def _scores(dataset: Dataset, answers: Answers) -> tuple[float, float, float]:
    truth = np.array([recording.emotion for recording in dataset.recordings])
    actors = np.array([recording.actor for recording in dataset.recordings])
    order = np.concatenate(paper.rows_of(actors, VALIDATION_ACTORS))
    return (
        uar(truth[order], answers.validation.argmax(axis=1)),
        uar(truth, answers.test.argmax(axis=1)),
        uar(truth, answers.peeked.argmax(axis=1)),
    )


def show(study: Study) -> None:
    """Print the best trials by validation actors, and what the test folds as judges would have claimed."""
    whole = [trial for trial in study.trials if trial.value is not None and "test" in trial.user_attrs]
    console = Console()
    if not whole:
        console.print("no trial has ended yet")
        return
    best = sorted(whole, key=lambda trial: -(trial.value or 0))[:5]
    table = Table(title=f"best of {len(study.trials)} trials ({len(whole)} whole), by validation actors")
    for title in ("trial", "validation", "test", *best[0].params):
        table.add_column(title, justify="right")
    for trial in best:
        values = [_short(value) for value in trial.params.values()]
        table.add_row(str(trial.number), f"{trial.value:.4f}", f"{trial.user_attrs['test']:.4f}", *values)
    console.print(table)
    claimed = max(whole, key=lambda trial: trial.user_attrs["peeked"])
    console.print(
        f"The trial chosen on validation actors has {best[0].user_attrs['test']:.4f} on the test actors; choosing "
        f"trial and epoch on the test folds would have claimed {claimed.user_attrs['peeked']:.4f}."
    )


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
