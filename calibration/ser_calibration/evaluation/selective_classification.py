"""Which answers are labels and which `unknown`, by rules that the actors who are measured had no part in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ser_calibration.evaluation.gate_evaluation import Intruder
from ser_calibration.evaluation.ood import FoldScores, limit_for
from ser_calibration.evaluation.temperatures import Folds, fit_folds
from ser_model.config import DecisionConfig
from ser_model.scoring.temperature import Temperature
from ser_model.training.calibration_files import LabelledFigures
from ser_model.training.folds.jobs import FOLDS
from ser_model.training.folds.predictions import Predictions, excluded_speakers
from ser_model.training.folds.run_folder import RunFolder
from ser_model.training.scores import Classes, Logits, posterior, unknown_threshold
from ser_model.types import to_samples

REASONS: Final = ("too-short", "unlike-speech", "low-confidence")

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rule:
    """When an answer is a label: as `ser_model.decision` decides about whole utterances."""

    temperature: Temperature
    threshold: float
    limit: float
    """Highest score of what is like speech."""

    def reasons(self, logits: Logits, scores: Scores, voiced: Classes) -> list[str | None]:
        """For each answer why it is `unknown`; None where it is a label."""
        confidence = posterior(logits, self.temperature.after(voiced)).max(axis=1)
        least = to_samples(DecisionConfig().min_voiced_ms)
        tests = zip(voiced < least, scores > self.limit, confidence < self.threshold, strict=True)
        return [next((reason for reason, holds in zip(REASONS, row, strict=True) if holds), None) for row in tests]

    def labelled(self, logits: Logits, scores: Scores, voiced: Classes) -> npt.NDArray[np.bool_]:
        """Which answers are labels, shape (n,)."""
        return np.array([reason is None for reason in self.reasons(logits, scores, voiced)], dtype=bool)


def rules(
    run: RunFolder,
    whole: Sequence[Folds],
    windows: Sequence[Folds],
    scores: Sequence[FoldScores],
    precision: float,
) -> list[Rule]:
    """A rule for each fold, from validation actors that are none of its test actors; last, one from all of them.

    Args:
        run: whose answers they are.
        whole: for each seed and fold the answers for validation actors' utterances.
        windows: the same for windows.
        scores: of the chosen method, for all seeds and folds.
        precision: share of right labels that the thresholds are chosen for.
    """
    known = Predictions.join([fold for seed in whole for fold in seed])
    out = []
    for fold, temperature in zip((*FOLDS, None), fit_folds(run, [whole, windows]), strict=True):
        others = known if fold is None else excluded_speakers(run, known, fold)
        probabilities = posterior(others.logits, temperature.after(others.voiced))
        threshold = unknown_threshold(probabilities, run.emotions[others.owner], run.actors[others.owner], precision)
        out.append(Rule(temperature, threshold, limit_for(scores, fold)))
    return out


def rejected(scores: Sequence[FoldScores], made: Sequence[Rule]) -> float:
    """Share of test actors' varied speech that counts as unlike speech."""
    shares = [np.mean(one.varied > made[at % len(FOLDS)].limit) for at, one in enumerate(scores)]
    return float(np.mean(shares))


def measure_seed(
    run: RunFolder,
    test: Sequence[Predictions],
    scores: Sequence[FoldScores],
    made: Sequence[Rule],
    hour: Sequence[Intruder],
    others: Sequence[Intruder],
) -> LabelledFigures:
    """What one seed's networks label, of clean recordings and of hours without speech.

    Args:
        run: whose networks answer.
        test: for each fold the answers for test actors.
        scores: for each fold, in the same order; of noise, the hour's, then the others'.
        made: for each fold its rule.
        hour: noise that the gate took for speech.
        others: the same of other hours.
    """
    reasons: list[str | None] = []
    right: list[bool] = []
    labelled = []
    loud = np.array([one.voiced for one in (*hour, *others)], dtype=np.int64)
    for judged, one, rule in zip(test, scores, made, strict=False):
        reasons += rule.reasons(judged.logits, one.test, judged.voiced)
        right += (judged.logits.argmax(axis=1) == run.emotions[judged.owner]).tolist()
        labelled.append(rule.labelled(one.noise_logits, one.noise, loud))
    answered = [hit for hit, reason in zip(right, reasons, strict=True) if reason is None]
    recordings = len(run.names)
    return {
        "labelled": len(answered) / recordings,
        "precision": float(np.mean(answered)) if answered else 0.0,
        "reasons": {reason: reasons.count(reason) / recordings for reason in REASONS},
        "missed": 1 - len(reasons) / recordings,
        "labelled_in_hour": [int(given[: len(hour)].sum()) for given in labelled],
        "labelled_in_others": [int(given[len(hour) :].sum()) for given in labelled],
    }
