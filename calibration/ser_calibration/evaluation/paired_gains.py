"""What adaptation gained: figures of every scenario, paired, with intervals over actors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from ser_calibration.evaluation.scenarios import SCENARIOS, Plan
from ser_model.training.scores import Classes, uar

SEED: Final = 1
"""Of the bootstrap."""

_RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class PairedPredictions:
    """What was said of the counted utterances of one order."""

    plan: Plan
    truth: Classes
    """Shape (40,), as both others."""
    without: Classes
    adapted: Classes


def against(told: Sequence[PairedPredictions], others: Sequence[PairedPredictions]) -> list[PairedPredictions]:
    """What was said of the same orders, with other adaptation in place of none to be compared with."""
    return [replace(one, without=other.adapted) for one, other in zip(told, others, strict=True)]


def summarise(told: Sequence[PairedPredictions]) -> dict[str, Any]:
    """Figures of every scenario: mean over actors, and the interval of a bootstrap over them.

    Returns:
        by scenario `uar_without`, `gain` (points of UAR), `low` and `high` (paired, 95 %), `accuracy_gain` (points)
    """
    return {name: _figures([one for one in told if one.plan.scenario == name]) for name in SCENARIOS}


def _figures(told: Sequence[PairedPredictions]) -> dict[str, float]:
    rows = []
    for actor in sorted({one.plan.actor for one in told}):
        mine = [one for one in told if one.plan.actor == actor]
        truth, without, adapted = (
            np.concatenate([getattr(one, name) for one in mine]) for name in ("truth", "without", "adapted")
        )
        rows.append((uar(truth, without), uar(truth, adapted), np.mean(truth == without), np.mean(truth == adapted)))
    table = 100 * np.array(rows)
    gains = table[:, 1] - table[:, 0]
    low, high = interval(gains)
    return {
        "uar_without": float(table[:, 0].mean()) / 100,
        "gain": float(gains.mean()),
        "low": low,
        "high": high,
        "accuracy_gain": float((table[:, 3] - table[:, 2]).mean()),
    }


def interval(gains: npt.NDArray[np.float64]) -> tuple[float, float]:
    """95 % interval of the mean by resampling (Efron 1979, doi 10.1214/aos/1176344552), shape (actors,)."""
    rng = np.random.default_rng(SEED)
    means = gains[rng.integers(len(gains), size=(_RESAMPLES, len(gains)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def print_paired_gains(result: Mapping[str, Any]) -> None:
    """Show the rows of what `ser-calibrate adaptation` writes."""
    title = f"UAR, points gained by adaptation; {result['actors']} actors, {len(result['seeds'])} seed(s)"
    for row in result["rows"]:
        table = Table(title=f"{title}; {row['setting']}", title_justify="left")
        for name in ("scenario", "UAR without", "gain", "95 % of actors' mean", "accuracy"):
            table.add_column(name, justify="left" if name == "scenario" else "right")
        for name in SCENARIOS:
            one = row[name]
            table.add_row(
                name,
                f"{one['uar_without']:.3f}",
                f"{one['gain']:+.1f}",
                f"{one['low']:+.1f} to {one['high']:+.1f}",
                f"{one['accuracy_gain']:+.1f}",
            )
        Console().print(table)
