"""`ser-model generalise`: leave-one-actor-out, and the accuracy on parts of the recordings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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
from ser_model.training.networks.fit_config import Device, FitConfig
from ser_model.training.scores import MISSED, Classes, uar

DIVISIONS: tuple[tuple[str, Callable[[Recording], bool]], ...] = (
    ("men", lambda recording: recording.actor % 2 == 1),
    ("women", lambda recording: recording.actor % 2 == 0),
    ("normal intensity", lambda recording: recording.intensity == 1),
    ("strong intensity", lambda recording: recording.intensity == 2),
    ("Kids are talking by the door", lambda recording: recording.statement == 1),
    ("Dogs are sitting by the door", lambda recording: recording.statement == 2),
)
"""Parts of RAVDESS. Actors with odd numbers are men. Neutral speech has no strong intensity."""


def generalise(
    path: Path,
    data: Path,
    *,
    seeds: int,
    noise: Path | None,
    rooms: Path | None,
    workers: int | None,
    device: Device,
) -> None:
    """Train the networks that are missing, print the metrics, and write RUN/generalisation.json.

    Args:
        path: the folder of the run.
        data: the recordings of the run.
        seeds: number of seeds.
        noise: folder of noises; `None`: generated ones only.
        rooms: folder of room responses; `None`: none.
        workers: number of processes; `None`: one per core.
        device: `cpu` or `cuda`.

    Raises:
        SerError: A folder or the device is not what is expected.
    """
    folder = RunFolder.open(path)
    corpus = folder.corpus(data)
    settings = folder.settings()
    config = FitConfig(**{**settings["fit"], "crop_seconds": tuple(settings["fit"]["crop_seconds"])})
    dataset = build(
        corpus,
        variants=settings["variants"],
        noise=noise,
        rooms=rooms,
        cache=folder.path.parent / "cache",
        workers=workers,
    )
    jobs = [Job(seed, fold, "actor") for seed in range(seeds) for fold in range(len(ACTORS))]
    run(dataset, config, jobs, folder.path, workers, device)
    result = {
        "leave_one_actor_out": _leave_one_out(folder, corpus, seeds),
        "divisions": _divide(folder, corpus),
    }
    write_json(folder.path / "generalisation.json", result)
    _print(result)


def _leave_one_out(folder: RunFolder, corpus: Corpus, seeds: int) -> Metrics:
    """UAR pooled over the 24 networks, and the UAR of each actor as the mean over seeds."""
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
    """UAR of the predictions of the folds on parts of the recordings."""
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
