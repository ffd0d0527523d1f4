"""Fit temperatures to the predictions for validation actors, of whole utterances and of windows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from ser_calibration.evaluation.metrics import log_loss
from ser_model.scoring.temperature import Temperature
from ser_model.training.folds.jobs import FOLDS
from ser_model.training.folds.predictions import Predictions, excluded_speakers
from ser_model.training.folds.run_folder import RunFolder
from ser_model.training.scores import Classes, posterior

Folds = Sequence[Predictions]
"""The predictions of one seed, by fold."""


def fit_temperatures(kinds: Sequence[Predictions], emotions: Classes) -> Temperature:
    """Fit the two temperatures with the least negative log-likelihood; every kind of prediction has the same weight.

    Args:
        kinds: predictions of each kind, such as whole utterances and windows.
        emotions: class of every recording.
    """

    def loss(parameters: npt.NDArray[np.float64]) -> float:
        temperature = Temperature(*np.exp(parameters).tolist())
        return sum(log_loss(posterior(one.logits, temperature.after(one.voiced)), emotions[one.owner]) for one in kinds)

    best = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-7}).x
    return Temperature(*np.exp(np.clip(best, *np.log((0.2, 10.0)))).tolist())


def fit_folds(run: RunFolder, kinds: Sequence[Sequence[Folds]]) -> list[Temperature]:
    """Fit temperatures for each fold without its test actors, and last for all folds with all validation actors.

    Args:
        run: whose predictions they are.
        kinds: for each kind and seed, the predictions for validation actors by fold.
    """
    known = [Predictions.join([fold for seed in kind for fold in seed]) for kind in kinds]
    parts = [[excluded_speakers(run, one, fold) for one in known] for fold in FOLDS]
    return [fit_temperatures(part, run.emotions) for part in (*parts, known)]
