"""`ser-model evaluate`: the accuracy of a run, seed by seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ser_model.labels import LABELS, SHORT_LABELS
from ser_model.training.data.corpus import NEVER_VALIDATING
from ser_model.training.data.dataset import build
from ser_model.training.files import write_json
from ser_model.training.folds.crossval import predict_again
from ser_model.training.folds.jobs import list_jobs
from ser_model.training.folds.run_results import coverage_and_precision, open_results
from ser_model.training.scores import confusion, uar


def repeat_predictions(folder: Path, data: Path) -> None:
    """Repeat the predictions of a run for the clean recordings as the present gate segments them."""
    run = open_results(folder)
    corpus = run.folder.corpus(data)
    dataset = build(corpus, cache=folder.parent / "cache")
    predict_again(dataset, run.folder.variant, list_jobs(run.seeds), folder)


def evaluate(folder: Path) -> None:
    """Print the metrics of a run, seed by seed, and write RUN/evaluation.json."""
    run = open_results(folder)
    truth = run.truth
    never = np.isin(run.folder.actors, list(NEVER_VALIDATING))
    rows, tables = [], []
    for seed, test, validation in zip(run.seeds, run.test, run.validation, strict=True):
        predicted = test.classes(len(truth))
        labelled, right = coverage_and_precision(run, test, validation)
        rows.append(
            {
                "seed": seed,
                "uar": uar(truth, predicted),
                "uar_14_actors": uar(truth[never], predicted[never]),
                "uar_validation": uar(truth[validation.index], validation.logits.argmax(axis=1)),
                "coverage": labelled,
                "precision": right,
            }
        )
        tables.append(confusion(truth, predicted))
    summary = {
        name: {"mean": float(np.mean(values)), "std": float(np.std(values)), "max": float(np.max(values))}
        for name in list(rows[0])[1:]
        for values in [[row[name] for row in rows]]
    }
    result = {
        "recordings": len(truth),
        "missed_or_split": len(truth) - len(run.test[0].index),
        "seeds": rows,
        "summary": summary,
        "confusion": {"labels": [*LABELS, "missed"], "counts": np.sum(tables, axis=0).tolist()},
    }
    write_json(folder / "evaluation.json", result)
    _print(result)


def _print(result: dict[str, Any]) -> None:
    table = Table(title="UAR, pooled out-of-fold, gated whole utterances")
    columns = {
        "uar": "24 actors",
        "uar_14_actors": "14 that never validate",
        "uar_validation": "validation",
        "coverage": "labelled",
        "precision": "right of those",
    }
    table.add_column("seed")
    for title in columns.values():
        table.add_column(title, justify="right")
    for row in result["seeds"]:
        table.add_row(str(row["seed"]), *(f"{row[name]:.4f}" for name in columns))
    table.add_section()
    for statistic in ("mean", "std", "max"):
        table.add_row(statistic, *(f"{result['summary'][name][statistic]:.4f}" for name in columns))
    console = Console()
    console.print(table)
    console.print(
        f"{result['missed_or_split']} of {result['recordings']} recordings missed or split by the gate: errors"
    )
    matrix = Table(title="confusion, share of each true emotion, all seeds")
    for title in ("", *SHORT_LABELS, "missed"):
        matrix.add_column(title, justify="right")
    for label, counts in zip(LABELS, result["confusion"]["counts"], strict=True):
        matrix.add_row(label, *(f"{count / max(sum(counts), 1):.2f}" for count in counts))
    console.print(matrix)
