"""Print the result of `ser-calibrate cross-corpus`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.table import Table

from ser_calibration.cross_corpus.fitting import ACTIVATION_PRECISION, PRECISION
from ser_model.training.cross_corpus_file import CrossCorpusFile
from ser_model.training.experiments.world_metrics import Metrics

_COLUMNS = {
    "uar": "UAR",
    "labelled": "labelled",
    "precision": "right",
    "ece": "ECE",
    "overconfidence": "too sure",
    "arousal_auc": "AUC",
}


def print_calibration(result: CrossCorpusFile) -> None:
    """Print the values, what they are worth on corpora left out of the fit, at home, and in noise."""
    console = Console(highlight=False)
    fitted = result["fitted"]
    activation = fitted["activation"]
    console.print(
        f"temperature {fitted['temperature']:.3f}, after little speech {fitted['short_temperature']:.3f}; unknown "
        f"below {fitted['unknown_below']:.3f}, chosen for {PRECISION:.0%} right; activation unknown below "
        f"{activation['unknown_below']:.3f}, chosen for {ACTIVATION_PRECISION:.0%} right"
    )
    console.print(_table(f"each corpus left out of training and fit, {len(result['seeds'])} seeds", result["abroad"]))
    if result["home"] is not None:
        console.print(_table("speakers held out, their corpora heard", result["home"]))
    console.print(
        "labelled, right: share of the recordings with a label, and of these how many are right; AUC, said, right: "
        "the same of activation. emotions: share of ordinary speech that gets an emotion."
    )
    console.print(_adaptation(result))
    noise = result["noise"]
    if noise is not None:
        areas = ", ".join(f"{name} {area:.3f}" for name, area in noise["auroc"].items())
        console.print(
            f"noise: the gate is open for {noise['open']:.2%} of the hour, {noise['sounds']} sounds; of these get a "
            f"label {noise['labelled_held_out']} by the networks of seed 0, {noise['labelled_final']} by the final "
            f"one. Told from speech by {noise['method']} (area under the curve: {areas}); {noise['rejected']:.1%} of "
            "strangers' clean speech is rejected."
        )


def _adaptation(result: CrossCorpusFile) -> Table:
    table = Table(title="adaptation: points of UAR gained after twenty utterances of a stranger")
    names = list(dict.fromkeys(name for row in result["adaptation"] for name in row["gains"]))
    for name in ("scenario", *names, "mean"):
        table.add_column(name, justify="left" if name == "scenario" else "right")
    for row in result["adaptation"]:
        gains = row["gains"]
        cells = [f"{gains[name]:+.1f}" if name in gains else "–" for name in names]
        table.add_row(row["scenario"], *cells, f"{np.mean(list(gains.values())):+.1f}")
    return table


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}".replace("0.", ".", 1)


def _table(title: str, rows: Sequence[Metrics]) -> Table:
    table = Table(title=title)
    for name in ("corpus", *_COLUMNS.values(), "said", "right", "emotions"):
        table.add_column(name, justify="left" if name == "corpus" else "right")
    for row in rows:
        table.add_row(row["corpus"], *_cells(row))
    acted = [row for row in rows if "uar" in row]
    table.add_section()
    names = [*_COLUMNS, "said", "right of level"]
    means = [_mean([_value(row, name) for row in acted]) for name in names]
    table.add_row("mean", *(_number(value) for value in means), "")
    return table


def _cells(row: Metrics) -> list[str]:
    ordinary = row.get("ordinary", {}).get("emotional")
    return [*(_number(_value(row, name)) for name in (*_COLUMNS, "said", "right of level")), _number(ordinary)]


def _value(row: Metrics, name: str) -> float | None:
    activation = row.get("activation", {})
    values = {**row, "said": activation.get("said"), "right of level": activation.get("right")}
    value: float | None = values.get(name)
    return value


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
