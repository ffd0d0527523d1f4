"""`ser-model tune`: a search for settings, scored on validation actors alone.

The search uses a tree-structured Parzen estimator with median pruning (Optuna: Akiba et al. 2019, arXiv 1907.10902).
The study is kept in a database, so that it can be resumed, and several machines can share it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from ser_model.errors import SerError
from ser_model.training.data.corpus import VALIDATION_ACTORS, load_corpus
from ser_model.training.data.dataset import Dataset, build
from ser_model.training.experiments import paper
from ser_model.training.experiments.paper import BestEpochPredictions
from ser_model.training.folds.trainer import check_device
from ser_model.training.networks.fit_config import Device, FitConfig
from ser_model.training.scores import uar

if TYPE_CHECKING:
    from optuna import Study, Trial

_EVALUATION_INTERVAL = 10
"""Epochs between two evaluations on the validation actors; each may prune a trial."""


def suggest_paper(trial: Trial) -> FitConfig:
    """Suggest the settings that the paper searches: rate, L2, dropout, batch and length of the cosine cycle."""
    return replace(
        paper.RECIPE,
        learning_rate=trial.suggest_float("learning_rate", 1e-3, 3e-2, log=True),
        l2=trial.suggest_float("l2", 1e-4, 5e-3, log=True),
        dropout=trial.suggest_float("dropout", 0.0, 0.6),
        batch=trial.suggest_categorical("batch", [16, 32, 64]),
        restart_epochs=trial.suggest_categorical("restart_epochs", [0, 5, 10]),
    )


def suggest_ours(trial: Trial) -> FitConfig:
    """Suggest settings of `ser-model train`, without teachers, which make a trial eight times as expensive."""
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


def tune(
    data: Path,
    *,
    recipe: str,
    trials: int,
    storage: str,
    study_name: str,
    parallel: int,
    cache: Path,
    noise: Path | None,
    rooms: Path | None,
    workers: int | None,
    device: Device,
) -> None:
    """Add trials to a study, and print the best ones.

    Args:
        data: the RAVDESS folder.
        recipe: a key of `RECIPES`.
        trials: number of trials.
        storage: an SQLAlchemy URL.
        study_name: the name of the study in the database, without the recipe.
        parallel: number of trials that are trained at once.
        cache: folder for the frames.
        noise: folder of noises; `None`: generated ones only.
        rooms: folder of room responses; `None`: none.
        workers: number of processes for the frames; `None`: one per core.
        device: `cpu` or `cuda`.

    Raises:
        SerError: A folder, the device or the storage is not what is expected.
    """
    check_device(device)
    corpus = load_corpus(data, allow_missing=False)
    if recipe == "paper":
        dataset = paper.frames(corpus, cache, workers)
    else:
        dataset = build(corpus, variants=16, noise=noise, rooms=rooms, cache=cache, workers=workers)
    study = open_study(storage, f"{study_name}-{recipe}")
    search(study, dataset, recipe, trials, parallel, device)
    print_best_trials(study)


def open_study(storage: str, name: str) -> Study:
    """Create a study, or open an existing one.

    Args:
        storage: an SQLAlchemy URL, such as `sqlite:///tune.db`.
        name: the name of the study in the database.

    Raises:
        SerError: The storage cannot be opened.
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


def search(study: Study, dataset: Dataset, recipe: str, trials: int, parallel: int = 1, device: Device = "cpu") -> None:
    """Add trials to a study.

    Args:
        study: the study, from `open_study`.
        dataset: the frames.
        recipe: a key of `RECIPES`.
        trials: number of trials.
        parallel: number of trials that are trained at once, useful on a GPU. Above 1, none is pruned.
        device: `cpu` or `cuda`.
    """
    with Progress() as bar:
        task = bar.add_task("trials", total=trials)
        for at in range(0, trials, parallel):
            asked = [study.ask() for _ in range(min(parallel, trials - at))]
            configs = [RECIPES[recipe](trial) for trial in asked]
            for batch in sorted({config.batch for config in configs}):
                own = [index for index, config in enumerate(configs) if config.batch == batch]
                _run_trials(study, dataset, [asked[i] for i in own], [configs[i] for i in own], device)
                bar.advance(task, len(own))


def _run_trials(
    study: Study, dataset: Dataset, trials: Sequence[Trial], configs: Sequence[FitConfig], device: Device
) -> None:
    from optuna import TrialPruned
    from optuna.trial import TrialState

    def after_evaluation(epoch: int, scores: list[float]) -> None:
        for trial, score in zip(trials, scores, strict=True):
            trial.report(score, epoch)
        if len(trials) == 1 and trials[0].should_prune():
            raise TrialPruned

    seeds = [trial.number for trial in trials]
    try:
        predictions = paper.cross_validate(dataset, configs, seeds, device, _EVALUATION_INTERVAL, after_evaluation)
    except TrialPruned:
        study.tell(trials[0], state=TrialState.PRUNED)
        return
    for trial, one in zip(trials, predictions, strict=True):
        validation, test, peeked = _scores(dataset, one)
        trial.set_user_attr("test", test)
        trial.set_user_attr("peeked", peeked)
        study.tell(trial, validation)


def _scores(dataset: Dataset, predictions: BestEpochPredictions) -> tuple[float, float, float]:
    truth = np.array([recording.emotion for recording in dataset.recordings])
    actors = np.array([recording.actor for recording in dataset.recordings])
    order = np.concatenate(paper.rows_of(actors, VALIDATION_ACTORS))
    return (
        uar(truth[order], predictions.validation.argmax(axis=1)),
        uar(truth, predictions.test.argmax(axis=1)),
        uar(truth, predictions.peeked.argmax(axis=1)),
    )


def print_best_trials(study: Study) -> None:
    """Print the best trials by validation actors, and what a choice by the test folds would claim."""
    complete = [trial for trial in study.trials if trial.value is not None and "test" in trial.user_attrs]
    console = Console()
    if not complete:
        console.print("no trial has ended yet")
        return
    best = sorted(complete, key=lambda trial: -(trial.value or 0))[:5]
    table = Table(title=f"best of {len(study.trials)} trials ({len(complete)} whole), by validation actors")
    for title in ("trial", "validation", "test", *best[0].params):
        table.add_column(title, justify="right")
    for trial in best:
        values = [_format(value) for value in trial.params.values()]
        table.add_row(str(trial.number), f"{trial.value:.4f}", f"{trial.user_attrs['test']:.4f}", *values)
    console.print(table)
    claimed = max(complete, key=lambda trial: trial.user_attrs["peeked"])
    console.print(
        f"The trial chosen on validation actors has {best[0].user_attrs['test']:.4f} on the test actors; choosing "
        f"trial and epoch on the test folds would have claimed {claimed.user_attrs['peeked']:.4f}."
    )


def _format(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
