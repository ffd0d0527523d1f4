"""Metrics over the seeds of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ser_model.training.data.corpus import NEVER_VALIDATING
from ser_model.training.scores import Classes, uar

Metrics = dict[str, Any]
"""Metrics by name, as they are written to JSON."""


def uar_metrics(truth: Classes, actors: Classes, predicted: Sequence[Classes]) -> Metrics:
    """UAR on all actors and on the 14 that never validate, over seeds.

    Args:
        truth: shape (items,).
        actors: the speaker of each item, shape (items,).
        predicted: for each seed the classes, `MISSED` where there is none, shape (items,).

    Returns:
        `uar` and `uar_14_actors`, each with `mean`, `std` and the `seeds` themselves
    """
    never = np.isin(actors, list(NEVER_VALIDATING))
    return {
        "uar": mean_and_std([uar(truth, one) for one in predicted]),
        "uar_14_actors": mean_and_std([uar(truth[never], one[never]) for one in predicted]),
    }


def mean_and_std(values: Sequence[float]) -> Metrics:
    """Mean and standard deviation over seeds, and the values themselves."""
    return {"mean": float(np.mean(values)), "std": float(np.std(values)), "seeds": [float(value) for value in values]}


def format_metric(metric: Metrics) -> str:
    """Format a metric for a table: the mean, and the deviation if there is more than one seed."""
    return f"{metric['mean']:.3f}" + (f" ± {metric['std']:.3f}" if len(metric["seeds"]) > 1 else "")
