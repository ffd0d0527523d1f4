"""Print the result of `ser-calibrate confidence`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from rich.console import Console
from rich.table import Table

from ser_model.training.calibration_files import (
    ConfidenceFigures,
    ConfidenceFile,
    MeasuredConfidence,
    VoicedConfidence,
)

FITTED_ON: Final = ("utterance", "window")
"""Kinds of answers that the temperatures are fitted on."""

MAX_ECE: Final = 0.05
"""Target: highest expected calibration error."""

MIN_HALF_ACCURACY: Final = 0.80
"""Target: lowest accuracy on the more confident half."""

_WHEN: Final[tuple[Literal["before"], Literal["after"]]] = ("before", "after")


def print_confidence(result: ConfidenceFile) -> None:
    """Print the figures, and whether they reach the targets."""
    console = Console()
    measured = result["measured"]
    names = {
        "utterance": "utterances",
        "window": f"{_seconds(measured['window'])} windows",
        "full_window": f"full {_seconds(measured['window'])} windows",
        "live_window": f"windows of {_seconds(measured['live_window'])} (as partials)",
    }
    console.print(_figures_table(result, names))
    _print_curves(console, measured, names)
    console.print(_voiced_table(result["heard"]))
    for kind in FITTED_ON:
        methods = measured[kind]["methods"]
        texts = [
            f"{name} {row['nll']:.4f} (gain {row['gain']:+.4f} ± {row['error']:.4f})" for name, row in methods.items()
        ]
        console.print(
            f"Loss on validation actors left out in turn, {names[kind]}: {'; '.join(texts)}.", highlight=False
        )
    fitted = result["fitted"]
    console.print(
        f"For the model: temperature {fitted['temperature']:.3f}, after little speech "
        f"{fitted['short_temperature']:.3f}; "
        f"unknown below {fitted['unknown_below']:.3f} (precision {fitted['precision']:.2f} on validation actors).",
        highlight=False,
    )
    for kind in (*FITTED_ON, "full_window"):
        row = measured[kind]["after"]
        half = _half_accuracy(row)
        console.print(
            f"{names[kind]}: ECE {row['ece']:.3f}, {_target(row['ece'] <= MAX_ECE)} {MAX_ECE}; "
            f"surer half {half:.3f}, {_target(half >= MIN_HALF_ACCURACY)} {MIN_HALF_ACCURACY}",
            highlight=False,
        )


def _seconds(row: MeasuredConfidence) -> str:
    return f"{(row['window_ms'] or 0) / 1000:g} s"


def _target(is_reached: bool) -> str:
    return "within" if is_reached else "MISSES"


def _half_accuracy(row: ConfidenceFigures) -> float:
    return next(point["accuracy"] for point in row["risk_coverage"] if point["coverage"] == 0.5)


def _figures_table(result: ConfidenceFile, names: dict[str, str]) -> Table:
    table = Table(title=f"Confidence on test actors, {len(result['seeds'])} seed(s); temperatures by validation actors")
    table.add_column("")
    for title in ("answers", "accuracy", "ECE", "by chance alone", "Brier", "NLL", "right, surer half"):
        table.add_column(title, justify="right")
    for kind, measured in result["measured"].items():
        table.add_section()
        for when in _WHEN:
            row = measured[when]
            values = (row["accuracy"], row["ece"], row["ece_by_chance"], row["brier"], row["nll"], _half_accuracy(row))
            table.add_row(f"{names[kind]}, {when}", str(row["answers"]), *(f"{value:.4f}" for value in values))
    return table


def _print_curves(console: Console, measured: dict[str, MeasuredConfidence], names: dict[str, str]) -> None:
    """Print accuracy against coverage, and the bins of the reliability diagram."""
    curve = Table(title="Accuracy on the most confident share")
    curve.add_column("share")
    for point in measured["utterance"]["after"]["risk_coverage"]:
        curve.add_column(f"{point['coverage']:.0%}", justify="right")
    for kind in FITTED_ON:
        points = measured[kind]["after"]["risk_coverage"]
        curve.add_row(names[kind], *(f"{point['accuracy']:.3f}" for point in points))
    console.print(curve)
    bins = Table(title="Reliability: confidence → accuracy in bins of equal numbers, all seeds")
    bins.add_column("bin")
    columns = []
    for kind in FITTED_ON:
        for when in _WHEN:
            bins.add_column(f"{names[kind]}, {when}", justify="right")
            columns.append(measured[kind][when]["reliability"])
    for number, rows in enumerate(zip(*columns, strict=True), 1):
        bins.add_row(str(number), *(f"{row['confidence']:.3f} → {row['accuracy']:.3f}" for row in rows))
    console.print(bins)


def _voiced_table(rows: Sequence[VoicedConfidence]) -> Table:
    table = Table(title="By how much of the utterance was voiced: accuracy, and mean confidence before and after")
    for title in ("voiced", "accuracy", "before", "after"):
        table.add_column(title, justify="right")
    for row in rows:
        voiced = "more" if row["up_to_seconds"] is None else f"up to {row['up_to_seconds']:g} s"
        table.add_row(voiced, *(f"{value:.3f}" for value in (row["accuracy"], row["before"], row["after"])))
    return table
