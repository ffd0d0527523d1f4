"""Fits how sure a run's networks may be, by answers for validation actors: whole utterances, and windows."""

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


def fit(kinds: Sequence[Predictions], emotions: Classes) -> Temperature:
    """The two temperatures with the least negative log-likelihood, in which every kind of answer counts the same.

    Args:
        kinds: such as answers for whole utterances, and for windows.
        emotions: class of every recording.
    """

    def loss(parameters: npt.NDArray[np.float64]) -> float:
        made = Temperature(*np.exp(parameters).tolist())
        return sum(log_loss(posterior(one.logits, made.after(one.voiced)), emotions[one.owner]) for one in kinds)

    best = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-7}).x
    return Temperature(*np.exp(np.clip(best, *np.log((0.2, 10.0)))).tolist())


def fit_folds(run: RunFolder, kinds: Sequence[Sequence[Folds]]) -> list[Temperature]:
    """For each fold from validation actors that are none of its test actors; last, from all of them.

    Args:
        run: whose answers they are.
        kinds: of each kind for each seed and fold the answers for validation actors.
    """
    known = [Predictions.join([fold for seed in kind for fold in seed]) for kind in kinds]
    parts = [[excluded_speakers(run, one, fold) for one in known] for fold in FOLDS]
    return [fit(part, run.emotions) for part in (*parts, known)]
