"""The tables that `ser-model robustness` prints."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from ser_model.training.folds.metrics import Metrics, format_metric


def print_result(result: Metrics, left_out: Sequence[str]) -> None:
    """Print the content of robustness.json.

    Args:
        result: the content.
        left_out: titles of the conditions that were not measured.
    """
    console = Console()
    console.print(_conditions_table(result))
    noisy = [row for row in result["conditions"].values() if "by_noise" in row]
    if noisy:
        console.print(_noise_table(noisy))
    if left_out:
        console.print(f"Left out for want of --noise or --rooms: {'; '.join(left_out)}.")


def _conditions_table(result: Metrics) -> Table:
    table = Table(title=f"UAR, test actors of five folds, {len(result['seeds'])} seed(s); missed and split are errors")
    table.add_column("condition")
    for title in ("24 actors", "loss in points", "14 that never validate", "missed", "split"):
        table.add_column(title, justify="right")
    for row in result["conditions"].values():
        table.add_row(
            row["title"],
            format_metric(row["uar"]),
            f"{row['loss_points']:.1f}",
            format_metric(row["uar_14_actors"]),
            f"{row['missed']:.1%}",
            f"{row['split']:.1%}",
        )
    return table


def _noise_table(noisy: Sequence[Metrics]) -> Table:
    table = Table(title="Points of accuracy that each kind of noise costs")
    for title in ("", "recordings", *(row["title"] for row in noisy)):
        table.add_column(title, justify="right" if title else "left")
    for kind, first in noisy[0]["by_noise"].items():
        losses = [f"{row['by_noise'][kind]['loss_points']:.1f}" for row in noisy]
        table.add_row(kind.replace("_", " "), str(first["recordings"]), *losses)
    return table
