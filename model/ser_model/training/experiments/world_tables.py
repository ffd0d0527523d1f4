"""The tables that `ser-model world` prints."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.table import Table

from ser_model.labels import LABELS, SHORT_LABELS
from ser_model.training.experiments.world_metrics import Metrics

_COLUMNS = {
    "uar": "UAR",
    "chance": "chance",
    "uar_of_eight": "of 8",
    "labelled": "labelled",
    "precision": "right",
    "ece": "ECE",
    "arousal_auc": "arousal",
}


_NOTE = (
    "UAR: the best of the classes that the corpus has; of 8: of all labels. Where a corpus has only one of "
    "neutral and calm, both count as that one. Recordings that the gate misses or splits are errors, and not "
    "labelled. right: of those that are labelled. arousal: share of the pairs of a recording of high and one of low "
    "arousal that the scores put in this order."
)


def print_result(result: Metrics, title: str) -> None:
    """Print one row for each corpus, the groups of speakers, ordinary speech, and the confusions."""
    console = Console()
    rows = result["corpora"]
    console.print(_recordings(rows))
    acted = [row for row in rows if "uar" in row]
    if acted:
        console.print(_recognition(title, acted))
        console.print(_NOTE)
    groups = [(row["corpus"], group) for row in acted for group in row["groups"]]
    if groups:
        console.print(_groups(groups))
    ordinary = [row for row in rows if "ordinary" in row]
    if ordinary:
        console.print(_ordinary(ordinary))
    for row in acted:
        console.print(_confusion(row))
    for row in rows:
        if row["left_out"]:
            shown = ", ".join(f"{count} of {name}" for name, count in row["left_out"].items())
            console.print(f"{row['corpus']}: left out {shown}")
    if result["limit"] is not None:
        console.print(f"at most {result['limit']} recordings of a speaker and emotion, drawn at random")
    if result["training_data"] is not None:
        console.print(f"{result['model']} learned from: {result['training_data']}", markup=False)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}".removeprefix("0")


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title)
    for at, name in enumerate(columns):
        table.add_column(name, justify="right" if at else "left", overflow="fold")
    return table


def _recordings(rows: Sequence[Metrics]) -> Table:
    table = _table(
        "the corpora, through the gate", ("corpus", "recordings", "speakers", "missed", "split", "languages")
    )
    for row in rows:
        counts = (str(row["recordings"]), str(row["speakers"]), f"{row['missed']:.1%}", f"{row['split']:.1%}")
        table.add_row(row["corpus"], *counts, " ".join(row["languages"]))
    return table


def _recognition(title: str, rows: Sequence[Metrics]) -> Table:
    table = _table(title, ("corpus", *_COLUMNS.values()))
    for row in rows:
        table.add_row(row["corpus"], *(_number(row[name]) for name in _COLUMNS))
    if len(rows) > 1:
        table.add_section()
        table.add_row("mean", *(_number(_mean(rows, name)) for name in _COLUMNS))
    return table


def _mean(rows: Sequence[Metrics], name: str) -> float | None:
    values = [row[name] for row in rows if row[name] is not None]
    return float(np.mean(values)) if values else None


def _groups(groups: Sequence[tuple[str, Metrics]]) -> Table:
    table = _table("UAR by sex and age", ("corpus", "speakers are", "speakers", "recordings", "UAR"))
    for corpus, group in groups:
        counts = (str(group["speakers"]), str(group["recordings"]))
        table.add_row(corpus, group["title"], *counts, _number(group["uar"]))
    return table


def _ordinary(rows: Sequence[Metrics]) -> Table:
    titles = ("corpus", "recordings", "labelled", "emotions", "of labelled", "most often")
    table = _table("ordinary speech, in which nobody acts", titles)
    for row in rows:
        own = row["ordinary"]
        counts = (str(own["utterances"]),)
        shares = (_number(own[name]) for name in ("labelled", "emotional", "emotional_of_labelled"))
        most = max(own["labels"], key=own["labels"].get)
        table.add_row(row["corpus"], *counts, *shares, most if own["labels"][most] else "–")
    return table


def _confusion(row: Metrics) -> Table:
    table = _table(f"{row['corpus']}: share of each true emotion", ("", *SHORT_LABELS, "missed"))
    for label, counts in zip(LABELS, row["confusion"], strict=True):
        if sum(counts):
            table.add_row(label, *(f"{count / sum(counts):.2f}".removeprefix("0") for count in counts))
    return table
