"""Numerics of the taught head: a residual of logits by multinomial logistic regression, and how well it generalises.

The fit uses the bound of the Hessian by Böhning (1992, doi 10.1007/BF00048682): every step goes downhill without a
search. Nesterov's momentum with restarts (O'Donoghue & Candès 2015, doi 10.1007/s10208-013-9150-3) needs fewer steps.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from ser_model.scoring.softmax import softmax

FloatArray = npt.NDArray[np.float64]

_STEPS: Final = 300
_STILL: Final = 1e-3
"""Largest change of a weight in a step after which the fit ends."""
_LEAST: Final = 0.05
"""Least divisor in the correction of an example for its own influence."""
_TEMPERATURES: Final = np.exp(np.linspace(-1.6, 1.0, 53))
"""Temperatures that are tried."""
_TINY: Final = 1e-300


def fit_residual(base: FloatArray, inputs: FloatArray, targets: FloatArray, precisions: FloatArray) -> FloatArray:
    """Return the weights at the maximum of the posterior, shape (labels, inputs).

    Args:
        base: logits that the residual is added to, shape (n, labels).
        inputs: shape (n, inputs).
        targets: one-hot, shape (n, labels).
        precisions: of the Gaussian prior of each input's weights, shape (inputs,).
    """
    step = np.linalg.inv(inputs.T @ inputs / 2 + np.diag(precisions))
    weights = ahead = np.zeros((targets.shape[1], inputs.shape[1]))
    momentum = 1.0
    for _ in range(_STEPS):
        gradient = (softmax(base + inputs @ ahead.T) - targets).T @ inputs + precisions * ahead
        moved = ahead - gradient @ step
        change = moved - weights
        if (gradient * change).sum() > 0:
            # The momentum points uphill: start it again.
            momentum, ahead = 1.0, moved
        else:
            following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
            ahead = moved + (momentum - 1) / following * change
            momentum = following
        weights = moved
        if np.abs(change).max() < _STILL:
            break
    return weights


def leave_one_out(
    base: FloatArray, inputs: FloatArray, targets: FloatArray, precisions: FloatArray, weights: FloatArray
) -> FloatArray:
    """Return about what a fit without an example would answer to it, shape (n, labels).

    One Newton step away from the fit with all of them, each label by itself; the arguments are those of
    `fit_residual`, and its result.
    """
    logits = base + inputs @ weights.T
    scores = softmax(logits)
    curvature = scores * (1 - scores)
    hessians = np.stack([(inputs * column[:, None]).T @ inputs for column in curvature.T]) + np.diag(precisions)
    leverage = np.stack([((inputs @ one) * inputs).sum(axis=1) for one in np.linalg.inv(hessians)], axis=1)
    return np.asarray(logits + leverage * (scores - targets) / np.maximum(1 - leverage * curvature, _LEAST))


def log_likelihood(logits: FloatArray, targets: FloatArray) -> float:
    """Logarithm of the probability of the targets, both of shape (n, labels)."""
    return float(np.log((softmax(logits) * targets).sum(axis=1) + _TINY).sum())


def choose_temperature(logits: FloatArray, targets: FloatArray, expected: float, precision: float) -> float:
    """Return the temperature at the maximum of the posterior; its prior is log-normal.

    Args:
        logits: of `leave_one_out`, shape (n, labels).
        targets: shape (n, labels).
        expected: median of the prior.
        precision: of the prior of the temperature's logarithm.
    """
    tried = expected * _TEMPERATURES
    posterior = [
        log_likelihood(logits / one, targets) - precision * float(np.log(one / expected)) ** 2 / 2
        for one in tried.tolist()
    ]
    return float(tried[int(np.argmax(posterior))])


def metric(whitening: FloatArray, share: float) -> FloatArray:
    """Return a matrix that makes the directions of an embedding more alike in how much they vary within a label.

    Args:
        whitening: makes them vary by 1 in every direction, shape (hidden, hidden), for column vectors.
        share: 0 changes nothing, 1 makes them vary alike.

    Returns:
        shape (hidden, hidden), for row vectors; the sum of the variances stays
    """
    inverse, directions = np.linalg.eigh(whitening.T @ whitening)
    variances = 1 / np.maximum(inverse, inverse.max() * 1e-9)
    scales = variances ** (-share / 2)
    return np.asarray(directions * scales * np.sqrt(variances.sum() / (variances * scales**2).sum()))
