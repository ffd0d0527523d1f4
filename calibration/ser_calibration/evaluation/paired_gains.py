"""Paired gains of adaptation in every scenario, with confidence intervals over actors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from ser_calibration.evaluation.scenarios import SCENARIOS, UtteranceOrder
from ser_model.training.scores import Classes, uar

SEED: Final = 1
"""Seed of the bootstrap."""

_RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class PairedPredictions:
    """Predictions for the scored utterances of one order, with and without adaptation."""

    order: UtteranceOrder
    truth: Classes
    """Shape (40,), like the predictions."""
    baseline: Classes
    """Without adaptation, or with the one to compare with."""
    adapted: Classes


def with_baseline(
    predictions: Sequence[PairedPredictions], baselines: Sequence[PairedPredictions]
) -> list[PairedPredictions]:
    """Replace the baseline by the adapted predictions of other adaptations for the same orders."""
    pairs = zip(predictions, baselines, strict=True)
    return [replace(one, baseline=baseline.adapted) for one, baseline in pairs]


def summarise(predictions: Sequence[PairedPredictions]) -> dict[str, Any]:
    """Return the figures of every scenario: means over actors, and a bootstrap interval over actors.

    Returns:
        by scenario `uar_without`, `gain` (points of UAR), `low` and `high` (paired, 95 %), `accuracy_gain` (points)
    """
    return {name: _figures([one for one in predictions if one.order.scenario == name]) for name in SCENARIOS}


def _figures(predictions: Sequence[PairedPredictions]) -> dict[str, float]:
    rows = []
    for actor in sorted({one.order.actor for one in predictions}):
        own = [one for one in predictions if one.order.actor == actor]
        truth = np.concatenate([one.truth for one in own])
        baseline = np.concatenate([one.baseline for one in own])
        adapted = np.concatenate([one.adapted for one in own])
        rows.append((uar(truth, baseline), uar(truth, adapted), np.mean(truth == baseline), np.mean(truth == adapted)))
    table = 100 * np.array(rows)
    gains = table[:, 1] - table[:, 0]
    low, high = bootstrap_interval(gains)
    return {
        "uar_without": float(table[:, 0].mean()) / 100,
        "gain": float(gains.mean()),
        "low": low,
        "high": high,
        "accuracy_gain": float((table[:, 3] - table[:, 2]).mean()),
    }


def bootstrap_interval(gains: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the mean (Efron 1979, doi 10.1214/aos/1176344552).

    Args:
        gains: by actor, shape (actors,).
    """
    rng = np.random.default_rng(SEED)
    means = gains[rng.integers(len(gains), size=(_RESAMPLES, len(gains)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def print_paired_gains(result: Mapping[str, Any]) -> None:
    """Print the result of `ser-calibrate adaptation`."""
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
