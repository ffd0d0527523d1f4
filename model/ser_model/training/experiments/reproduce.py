"""`ser-model reproduce`: the table of the paper beside ours. It can be resumed: each network has its own file."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from ser_model.training.data.corpus import NEVER_VALIDATING, load_corpus
from ser_model.training.data.dataset import Dataset
from ser_model.training.experiments import paper
from ser_model.training.experiments.paper import TABLE, Published
from ser_model.training.files import write_arrays, write_json
from ser_model.training.folds.jobs import FOLDS
from ser_model.training.folds.metrics import Metrics, format_metric, mean_and_std
from ser_model.training.folds.trainer import check_device
from ser_model.training.networks.architecture import VARIANTS, ResLstmSa, count_parameters
from ser_model.training.networks.fit_config import Device
from ser_model.training.processes import new_pool
from ser_model.training.scores import uar

_dataset: Dataset


def reproduce(data: Path, output: Path, *, seeds: int, epochs: int | None, workers: int | None, device: Device) -> None:
    """Train the networks that are missing, and print the table.

    Args:
        data: the RAVDESS folder.
        output: folder for the results.
        seeds: number of seeds.
        epochs: length of the training; `None`: that of the recipe.
        workers: number of processes; `None`: one per core.
        device: `cpu` or `cuda`.

    Raises:
        SerError: The folder or the device is not what is expected.
    """
    check_device(device)
    corpus = load_corpus(data, allow_missing=False)
    dataset = paper.frames(corpus, output.parent / "cache", workers)
    train(dataset, output, seeds, device, workers, epochs)
    report(dataset, output, seeds)


def train(
    dataset: Dataset,
    folder: Path,
    seeds: int,
    device: Device = "cpu",
    workers: int | None = None,
    epochs: int | None = None,
) -> None:
    """Train the six networks of the table for each seed, and write a file for each."""
    folder.mkdir(parents=True, exist_ok=True)
    todo = [(row, seed) for row in TABLE for seed in range(seeds) if not _path(folder, row, seed).exists()]
    with Progress() as bar:
        task = bar.add_task(f"training {len(FOLDS)} folds each", total=len(todo))
        if device == "cuda":
            for row in TABLE:
                own = [seed for one, seed in todo if one is row]
                if own:
                    _train(dataset, folder, epochs, row, own, device)
                bar.advance(task, len(own))
            return
        with new_pool(workers, _start_worker, (dataset,)) as pool:
            for _ in pool.imap_unordered(partial(_train_one, folder, epochs), todo):
                bar.advance(task)


def _path(folder: Path, row: Published, seed: int) -> Path:
    return folder / f"{row.name}-seed{seed}.npz"


def _start_worker(dataset: Dataset) -> None:
    global _dataset
    _dataset = dataset
    paper.set_threads()


def _train_one(folder: Path, epochs: int | None, one: tuple[Published, int]) -> None:
    _train(_dataset, folder, epochs, one[0], [one[1]], "cpu")


def _train(
    dataset: Dataset, folder: Path, epochs: int | None, row: Published, seeds: list[int], device: Device
) -> None:
    config = paper.recipe(row, **({} if epochs is None else {"epochs": epochs}))
    predictions = paper.cross_validate(dataset, [config] * len(seeds), seeds, device)
    for seed, one in zip(seeds, predictions, strict=True):
        write_arrays(_path(folder, row, seed), test=one.test, peeked=one.peeked, validation=one.validation)


def report(dataset: Dataset, folder: Path, seeds: int) -> None:
    """Print mean, deviation and best of the seeds beside the published results, and write reproduction.json."""
    truth = np.array([recording.emotion for recording in dataset.recordings])
    never = np.isin([recording.actor for recording in dataset.recordings], list(NEVER_VALIDATING))
    table = Table(title=f"UAR, pooled out-of-fold, whole recordings at 48 kHz, {seeds} seeds")
    for title in ("network", "parameters", "published", "best", "here", "best", "14 actors", "epoch by test actors"):
        table.add_column(title, justify="left" if title == "network" else "right")
    rows: list[Metrics] = []
    for row in TABLE:
        files = [np.load(_path(folder, row, seed)) for seed in range(seeds)]
        test = [file["test"].argmax(axis=1) for file in files]
        network = ResLstmSa(VARIANTS[row.variant], residual=row.residual)
        metrics: Metrics = {
            "name": row.name,
            "parameters": count_parameters(network),
            "published": {"mean": row.mean, "std": row.std, "max": row.max},
            "uar": mean_and_std([uar(truth, one) for one in test]),
            "uar_14_actors": mean_and_std([uar(truth[never], one[never]) for one in test]),
            "peeked": mean_and_std([uar(truth, file["peeked"].argmax(axis=1)) for file in files]),
        }
        rows.append(metrics)
        table.add_row(
            row.title,
            f"{metrics['parameters']:,}",
            f"{row.mean:.4f} ± {row.std:.4f}",
            f"{row.max:.4f}",
            format_metric(metrics["uar"]),
            f"{max(metrics['uar']['seeds']):.4f}",
            format_metric(metrics["uar_14_actors"]),
            format_metric(metrics["peeked"]),
        )
    write_json(folder / "reproduction.json", {"recipe": json.loads(json.dumps(_recipe())), "rows": rows})
    console = Console()
    console.print(table)
    console.print("epoch by test actors: what choosing the epoch on the test folds themselves would have claimed")


def _recipe() -> Metrics:
    return {name: getattr(paper.RECIPE, name) for name in paper.RECIPE.__slots__}
