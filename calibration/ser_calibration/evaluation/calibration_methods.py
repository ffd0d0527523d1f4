"""Calibration methods: temperature scaling, vector scaling, isotonic regression."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from ser_calibration.evaluation.metrics import log_loss
from ser_model.training.calibration_files import MethodFigures
from ser_model.training.scores import Classes, Logits, fit_temperature, posterior

Probabilities = npt.NDArray[np.float64]
Calibrator = Callable[[Logits], Probabilities]
"""Maps logits to calibrated probabilities."""


def fit_temperature_scaling(logits: Logits, truth: Classes) -> Calibrator:
    """Fit one divisor of the logits (Guo et al. 2017, arXiv 1706.04599)."""
    value = fit_temperature(logits, truth)
    return lambda others: posterior(others, value)


def fit_vector_scaling(logits: Logits, truth: Classes) -> Calibrator:
    """Fit a factor and an offset for the logit of each class (ibid.)."""
    classes = logits.shape[1]
    values, target = np.asarray(logits, dtype=np.float64), np.eye(classes)[truth]

    def loss(parameters: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        probabilities = posterior(values * parameters[:classes] + parameters[classes:])
        error = (probabilities - target) / len(truth)
        return log_loss(probabilities, truth), np.concatenate(((error * values).sum(axis=0), error.sum(axis=0)))

    start = np.concatenate((np.full(classes, 1 / fit_temperature(logits, truth)), np.zeros(classes)))
    best = minimize(loss, start, jac=True, method="L-BFGS-B").x
    return lambda others: posterior(others * best[:classes] + best[classes:])


def fit_isotonic(logits: Logits, truth: Classes) -> Calibrator:
    """Fit a rising curve for each class against the rest; the result is normalised (Zadrozny & Elkan 2002)."""
    scores = posterior(logits)
    curves = [
        _isotonic_curve(scores[:, label], (truth == label).astype(np.float64)) for label in range(scores.shape[1])
    ]

    def apply(others: Logits) -> Probabilities:
        columns = [np.interp(column, *curve) for column, curve in zip(posterior(others).T, curves, strict=True)]
        raised = np.stack(columns, axis=1) + 1e-3
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))

    return apply


def _isotonic_curve(scores: npt.NDArray[np.float64], hits: npt.NDArray[np.float64]) -> tuple[Any, Any]:
    """Return the points of the isotonic least-squares curve (pool adjacent violators)."""
    order = np.argsort(scores, kind="stable")
    blocks: list[list[float]] = []
    for score, hit in zip(scores[order], hits[order], strict=True):
        blocks.append([score, hit, 1.0])
        while len(blocks) > 1 and blocks[-2][1] >= blocks[-1][1]:
            last, before = blocks.pop(), blocks.pop()
            count = last[2] + before[2]
            blocks.append([(last[i] * last[2] + before[i] * before[2]) / count for i in (0, 1)] + [count])
    return np.array([block[0] for block in blocks]), np.array([block[1] for block in blocks])


METHODS: Final[Mapping[str, Callable[[Logits, Classes], Calibrator]]] = {
    "temperature": fit_temperature_scaling,
    "vector": fit_vector_scaling,
    "isotonic": fit_isotonic,
}


def compare_methods(logits: Logits, truth: Classes, actors: Classes) -> dict[str, MethodFigures]:
    """Return the loss of each method by leave-one-actor-out, and its gain over a single temperature.

    Args:
        logits: answers for validation actors, shape (n, 8).
        truth: shape (n,).
        actors: who speaks, shape (n,); at least two different ones.
    """
    losses: dict[str, list[float]] = {method: [] for method in METHODS}
    for actor in np.unique(actors):
        own = actors == actor
        for method, fit in METHODS.items():
            losses[method].append(log_loss(fit(logits[~own], truth[~own])(logits[own]), truth[own]))
    out: dict[str, MethodFigures] = {}
    for method, values in losses.items():
        gains = np.array(losses["temperature"]) - values
        error = float(gains.std(ddof=1) / np.sqrt(len(gains)))
        out[method] = {"nll": float(np.mean(values)), "gain": float(gains.mean()), "error": error}
    return out
