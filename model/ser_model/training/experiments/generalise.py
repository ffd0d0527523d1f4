"""How a recipe carries over to other people and ways of speaking: leave one actor out, and divisions of the folds."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from rich.console import Console
from rich.table import Table

from ser_model.training.data.corpus import ACTORS, Corpus, Recording
from ser_model.training.data.dataset import build
from ser_model.training.files import write_json
from ser_model.training.folds.crossval import read_pooled, run
from ser_model.training.folds.jobs import Job
from ser_model.training.folds.metrics import Metrics, format_metric, mean_and_std
from ser_model.training.folds.run_folder import RunFolder
from ser_model.training.networks.fit import FitConfig
from ser_model.training.scores import MISSED, Classes, uar

DIVISIONS: tuple[tuple[str, Callable[[Recording], bool]], ...] = (
    ("men", lambda recording: recording.actor % 2 == 1),
    ("women", lambda recording: recording.actor % 2 == 0),
    ("normal intensity", lambda recording: recording.intensity == 1),
    ("strong intensity", lambda recording: recording.intensity == 2),
    ("Kids are talking by the door", lambda recording: recording.statement == 1),
    ("Dogs are sitting by the door", lambda recording: recording.statement == 2),
)
"""Parts of RAVDESS; odd actors are men, and neutral has no strong intensity."""


def generalise(arguments: argparse.Namespace) -> None:
    """Measure as the command line asks; print the figures and write them beside the run."""
    folder = RunFolder.open(arguments.run)
    corpus = folder.corpus(arguments.data)
    settings = folder.settings()
    config = FitConfig(**{**settings["fit"], "crop_seconds": tuple(settings["fit"]["crop_seconds"])})
    dataset = build(
        corpus,
        variants=settings["variants"],
        noise=arguments.noise,
        rooms=arguments.rooms,
        cache=folder.path.parent / "cache",
        workers=arguments.workers,
    )
    jobs = [Job(seed, fold, "actor") for seed in range(arguments.seeds) for fold in range(len(ACTORS))]
    run(dataset, config, jobs, folder.path, arguments.workers, arguments.device)
    result = {
        "leave_one_actor_out": _leave_one_out(folder, corpus, arguments.seeds),
        "divisions": _divide(folder, corpus),
    }
    write_json(folder.path / "generalisation.json", result)
    _print(result)


def _leave_one_out(folder: RunFolder, corpus: Corpus, seeds: int) -> Metrics:
    """UAR pooled over the 24 networks, and each actor's own, mean over seeds."""
    total, by_actor = [], np.zeros((seeds, len(ACTORS)))
    for seed in range(seeds):
        predicted = np.full(len(corpus.recordings), MISSED, dtype=np.int64)
        for fold in range(len(ACTORS)):
            with np.load(folder.path / f"{Job(seed, fold, 'actor').name}.npz") as file:
                predicted[file["index"]] = file["logits"].argmax(axis=1)
        total.append(uar(folder.emotions, predicted))
        by_actor[seed] = [uar(folder.emotions[own], predicted[own]) for own in _actors(folder)]
    return {"uar": mean_and_std(total), "actors": by_actor.mean(axis=0).tolist()}


def _actors(folder: RunFolder) -> list[Classes]:
    return [np.flatnonzero(folder.actors == actor) for actor in ACTORS]


def _divide(folder: RunFolder, corpus: Corpus) -> list[Metrics]:
    """UAR of the folds' answers on parts of the recordings."""
    predicted = [read_pooled(folder.path, seed, "test").classes(len(folder.emotions)) for seed in folder.seeds]
    rows = []
    for title, belongs in DIVISIONS:
        own = np.array([belongs(recording) for recording in corpus.recordings])
        if not own.any():
            continue
        rows.append({"title": title, "uar": mean_and_std([uar(folder.emotions[own], one[own]) for one in predicted])})
    by_actor = [np.mean([uar(folder.emotions[own], one[own]) for one in predicted]) for own in _actors(folder)]
    return [*rows, {"title": "actors", "each": [float(value) for value in by_actor]}]


def _print(result: Metrics) -> None:
    console = Console()
    alone = result["leave_one_actor_out"]
    table = Table(title="how it carries over (UAR on gated whole utterances)")
    for title in ("recordings", "UAR"):
        table.add_column(title, justify="left" if title == "recordings" else "right")
    table.add_row("leave one actor out, pooled", format_metric(alone["uar"]))
    table.add_row("  its actors: mean ± deviation", f"{np.mean(alone['actors']):.3f} ± {np.std(alone['actors']):.3f}")
    table.add_row("  worst to best actor", f"{min(alone['actors']):.3f} to {max(alone['actors']):.3f}")
    table.add_section()
    for row in result["divisions"]:
        if "uar" in row:
            table.add_row(f"five folds: {row['title']}", format_metric(row["uar"]))
        else:
            low, high = min(row["each"]), max(row["each"])
            table.add_row("five folds: worst to best actor", f"{low:.3f} to {high:.3f}")
    console.print(table)
    order = np.argsort(alone["actors"])
    names = ", ".join(f"{ACTORS[at]:02d} {alone['actors'][at]:.2f}" for at in order)
    console.print(f"leave one out, actor by actor: {names}")
