"""Fits what turns logits into answers for strangers: class biases, temperatures, thresholds, and activation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit

from ser_calibration.cross_corpus.answers import Evidence
from ser_model.labels import LABELS
from ser_model.scoring.activation import HIGH, LOW, ActivationParameters, log_odds
from ser_model.scoring.temperature import Temperature
from ser_model.training.scores import posterior

PRECISION: Final = 0.75
"""Share of right labels, on corpora that are not heard, that the threshold of `unknown` is chosen for."""
RIDGE: Final = 0.1
"""Weight of the squared biases in the loss of both kinds together; see docs/confidence.md."""
ACTIVATION_PRECISION: Final = 0.90
"""Share of right levels of activation, likewise."""

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_HIGH, _LOW = ([LABELS.index(label) for label in names] for names in (HIGH, LOW))


@dataclass(frozen=True, slots=True, eq=False)
class StrangerCalibration:
    """What is fitted on answers for corpora that networks never heard."""

    bias: Floats
    """Added to the logits before anything else, shape (8,); the sum is 0."""
    temperature: Temperature
    unknown_below: float
    activation: ActivationParameters


def fit(kinds: Sequence[Evidence]) -> StrangerCalibration:
    """Fit all values.

    Args:
        kinds: whole utterances, then windows; the thresholds are chosen on whole utterances.
    """
    bias, temperature = fit_bias_and_temperature(kinds)
    whole = kinds[0]
    scores = posterior(whole.predictions.logits + bias, temperature.after(whole.predictions.voiced))
    confidence, right = scores.max(axis=1), _right(scores, whole.accepted)
    unknown_below = threshold(confidence, right, whole.weights, PRECISION)
    return StrangerCalibration(bias, temperature, unknown_below, fit_activation(scores, whole))


def _right(scores: Floats, accepted: Flags) -> Flags:
    return np.asarray(accepted[np.arange(len(scores)), scores.argmax(axis=1)])


def fit_bias_and_temperature(kinds: Sequence[Evidence]) -> tuple[Floats, Temperature]:
    """Fit a bias of each class and the two temperatures, by the least negative log-likelihood.

    Kinds, corpora, and the classes of a corpus have the same weight. The likelihood of a recording is the sum of the
    probabilities of all labels that are right. A ridge penalty keeps the biases small: they differ between corpora.
    """

    def loss(parameters: Floats) -> float:
        temperature, bias = Temperature(*np.exp(parameters[:2]).tolist()), parameters[2:]
        total = RIDGE * float(np.sum(np.square(bias / temperature.long)))
        for one in kinds:
            scores = posterior(one.predictions.logits + bias, temperature.after(one.predictions.voiced))
            likelihood = np.where(one.accepted, scores, 0).sum(axis=1)
            total -= float(np.sum(one.balanced * np.log(np.maximum(likelihood, 1e-12))))
        return total

    best = minimize(loss, np.zeros(2 + len(LABELS)), method="L-BFGS-B", options={"maxiter": 60}).x
    bias = best[2:] - best[2:].mean()
    return np.asarray(bias.round(4)), Temperature(*np.exp(np.clip(best[:2], *np.log((0.2, 10.0)))).tolist())


def threshold(confidence: Floats, right: Flags, weights: Floats, precision: float) -> float:
    """Return the lowest confidence from which on a weighted share `precision` of the answers is right; 1 if none."""
    order = np.argsort(-confidence, kind="stable")
    given = np.cumsum(weights[order])
    running = np.cumsum(weights[order] * right[order]) / given
    enough = np.flatnonzero(running >= precision)
    return float(confidence[order][enough[-1]]) if len(enough) else 1.0


def levels(one: Evidence) -> tuple[Flags, Flags]:
    """Masks of the recordings of high and of low activation."""
    high, low = (np.asarray(one.accepted[:, labels].any(axis=1)) for labels in (_HIGH, _LOW))
    return high, low


def fit_activation(scores: Floats, whole: Evidence) -> ActivationParameters:
    """Fit the logistic regression of high activation on its log-odds, and the threshold of an unknown level.

    High and low have the same weight, and so have the corpora.

    Args:
        scores: posterior of the recordings, shape (n, 8).
        whole: the recordings.
    """
    high, low = levels(whole)
    weights = _balanced(whole, high, low)
    used = weights > 0
    value, truth, weights = log_odds(scores)[used], high[used], weights[used]

    def loss(parameters: Floats) -> float:
        logit = np.exp(parameters[0]) * value + parameters[1]
        return float(np.sum(weights * (np.logaddexp(0, logit) - truth * logit)))

    best = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-8}).x
    slope, offset = max(round(float(np.exp(best[0])), 4), 1e-4), round(float(best[1]), 4)
    probability = expit(slope * value + offset)
    sure = np.maximum(probability, 1 - probability)
    below = threshold(sure, (probability > 0.5) == truth, weights, ACTIVATION_PRECISION)
    return ActivationParameters(slope=slope, offset=offset, unknown_below=round(max(below, 0.5), 4))


def _balanced(whole: Evidence, high: Flags, low: Flags) -> Floats:
    """Weights with the sum 1, the same for both levels of each corpus that has both."""
    weights = np.zeros(len(high))
    for corpus in np.unique(whole.corpus):
        own = whole.corpus == corpus
        for level in (high & own, low & own):
            if (high & own).any() and (low & own).any():
                weights[level] = 1 / level.sum()
    return np.asarray(weights / weights.sum())
