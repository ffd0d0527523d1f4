"""Selective classification: decide which answers are labels, with limits fitted without the actors measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, get_args

import numpy as np
import numpy.typing as npt

from ser_calibration.evaluation.gate_evaluation import FalseAlarm
from ser_calibration.evaluation.ood import FoldScores, fit_limit
from ser_calibration.evaluation.temperatures import Folds, fit_folds
from ser_model.config import DecisionConfig
from ser_model.scoring.temperature import Temperature
from ser_model.training.calibration_files import LabelledFigures
from ser_model.training.folds.jobs import FOLDS
from ser_model.training.folds.predictions import Predictions, excluded_speakers
from ser_model.training.folds.run_folder import RunFolder
from ser_model.training.scores import Classes, Logits, posterior, unknown_threshold
from ser_model.types import UnknownReason, to_samples

REASONS: Final[tuple[UnknownReason, ...]] = get_args(UnknownReason)

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class UnknownRule:
    """When a whole utterance is `unknown`, as in `ser_model.decision`."""

    temperature: Temperature
    threshold: float
    """Lowest confidence of a label."""
    limit: float
    """Highest OOD score of speech."""

    def reasons(self, logits: Logits, scores: Scores, voiced: Classes) -> list[UnknownReason | None]:
        """Return for each answer why it is `unknown`; `None` if it is a label.

        Args:
            logits: shape (n, 8).
            scores: OOD scores, shape (n,).
            voiced: voiced samples, shape (n,).
        """
        confidence = posterior(logits, self.temperature.after(voiced)).max(axis=1)
        min_voiced = to_samples(DecisionConfig().min_voiced_ms)
        tests = zip(voiced < min_voiced, scores > self.limit, confidence < self.threshold, strict=True)
        return [next((reason for reason, holds in zip(REASONS, row, strict=True) if holds), None) for row in tests]

    def labelled(self, logits: Logits, scores: Scores, voiced: Classes) -> npt.NDArray[np.bool_]:
        """Return which answers are labels, shape (n,)."""
        return np.array([reason is None for reason in self.reasons(logits, scores, voiced)], dtype=bool)


def fit_rules(
    run: RunFolder,
    whole: Sequence[Folds],
    windows: Sequence[Folds],
    scores: Sequence[FoldScores],
    precision: float,
) -> list[UnknownRule]:
    """Fit a rule for each fold without its test actors, and last one with all validation actors.

    Args:
        run: whose predictions they are.
        whole: for each seed, the predictions for validation actors' utterances by fold.
        windows: the same for windows.
        scores: of the chosen method, for all seeds and folds.
        precision: share of right labels that the thresholds are chosen for.
    """
    known = Predictions.join([fold for seed in whole for fold in seed])
    rules = []
    for fold, temperature in zip((*FOLDS, None), fit_folds(run, [whole, windows]), strict=True):
        others = known if fold is None else excluded_speakers(run, known, fold)
        probabilities = posterior(others.logits, temperature.after(others.voiced))
        threshold = unknown_threshold(probabilities, run.emotions[others.owner], run.actors[others.owner], precision)
        rules.append(UnknownRule(temperature, threshold, fit_limit(scores, fold)))
    return rules


def ood_rejection_rate(scores: Sequence[FoldScores], rules: Sequence[UnknownRule]) -> float:
    """Return the share of test actors' augmented speech above the limit."""
    shares = [np.mean(one.augmented > rules[number % len(FOLDS)].limit) for number, one in enumerate(scores)]
    return float(np.mean(shares))


def measure_seed(
    run: RunFolder,
    test: Sequence[Predictions],
    scores: Sequence[FoldScores],
    rules: Sequence[UnknownRule],
    hour: Sequence[FalseAlarm],
    others: Sequence[FalseAlarm],
) -> LabelledFigures:
    """Return what the networks of one seed label, of clean recordings and of noise that passes the gate.

    Args:
        run: whose networks are used.
        test: for each fold the predictions for test actors.
        scores: for each fold; those of noise hold the hour first, then the others.
        rules: for each fold.
        hour: the hour's false alarms.
        others: the false alarms of other hours.
    """
    reasons: list[UnknownReason | None] = []
    right: list[bool] = []
    noise_labelled = []
    noise_voiced = np.array([one.voiced for one in (*hour, *others)], dtype=np.int64)
    for predictions, one, rule in zip(test, scores, rules, strict=False):
        reasons += rule.reasons(predictions.logits, one.test, predictions.voiced)
        right += (predictions.logits.argmax(axis=1) == run.emotions[predictions.owner]).tolist()
        noise_labelled.append(rule.labelled(one.noise_logits, one.noise, noise_voiced))
    labelled = [hit for hit, reason in zip(right, reasons, strict=True) if reason is None]
    recordings = len(run.names)
    return {
        "labelled": len(labelled) / recordings,
        "precision": float(np.mean(labelled)) if labelled else 0.0,
        "reasons": {reason: reasons.count(reason) / recordings for reason in REASONS},
        "missed": 1 - len(reasons) / recordings,
        "labelled_in_hour": [int(mask[: len(hour)].sum()) for mask in noise_labelled],
        "labelled_in_others": [int(mask[len(hour) :].sum()) for mask in noise_labelled],
    }
