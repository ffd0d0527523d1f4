"""Which answers are labels and which `unknown`, by rules that the actors who are measured had no part in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ser_calibration.hearing import Intruder
from ser_calibration.unlike import FoldScores, limit_for
from ser_model.config import DecisionConfig
from ser_model.gate import to_samples
from ser_model.training.jobs import FOLDS
from ser_model.training.judged import Judged, strangers
from ser_model.training.run_folder import RunFolder
from ser_model.training.scores import Classes, Logits, fit_temperature, posterior, unknown_threshold

REASONS: Final = ("too-short", "unlike-speech", "low-confidence")

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rule:
    """When an answer is a label: as `ser_model.decision` decides about whole utterances."""

    temperature: float
    threshold: float
    limit: float
    """Highest score of what is like speech."""

    def reasons(self, logits: Logits, scores: Scores, voiced: Classes) -> list[str | None]:
        """For each answer why it is `unknown`; None where it is a label."""
        confidence = posterior(logits, self.temperature).max(axis=1)
        least = to_samples(DecisionConfig().min_voiced_ms)
        tests = zip(voiced < least, scores > self.limit, confidence < self.threshold, strict=True)
        return [next((reason for reason, holds in zip(REASONS, row, strict=True) if holds), None) for row in tests]

    def labelled(self, logits: Logits, scores: Scores, voiced: Classes) -> npt.NDArray[np.bool_]:
        """Which answers are labels, shape (n,)."""
        return np.array([reason is None for reason in self.reasons(logits, scores, voiced)], dtype=bool)


def rules(run: RunFolder, known: Judged, scores: Sequence[FoldScores], precision: float) -> list[Rule]:
    """A rule for each fold, from validation actors that are none of its test actors; last, one from all of them.

    Args:
        run: whose answers they are.
        known: answers for validation actors' utterances.
        scores: of the chosen method, for all seeds and folds.
        precision: share of right labels that the thresholds are chosen for.
    """
    out = []
    for fold in (*FOLDS, None):
        others = known if fold is None else strangers(run, known, fold)
        truth = run.emotions[others.owner]
        temperature = fit_temperature(others.logits, truth)
        threshold = unknown_threshold(posterior(others.logits, temperature), truth, precision)
        out.append(Rule(temperature, threshold, limit_for(scores, fold)))
    return out


def measure_seed(
    run: RunFolder,
    test: Sequence[Judged],
    scores: Sequence[FoldScores],
    made: Sequence[Rule],
    voiced: Classes,
    hour: Sequence[Intruder],
) -> dict[str, Any]:
    """What one seed's networks label, of clean recordings and of the hour without speech.

    Args:
        run: whose networks answer.
        test: for each fold the answers for test actors.
        scores: for each fold, in the same order; of noise, the hour's first.
        made: for each fold its rule.
        voiced: samples of every recording that are voiced.
        hour: noise that the gate took for speech.
    """
    reasons: list[str | None] = []
    right: list[bool] = []
    labelled_in_hour = []
    loud = np.array([one.voiced for one in hour], dtype=np.int64)
    for judged, one, rule in zip(test, scores, made, strict=False):
        reasons += rule.reasons(judged.logits, one.test, voiced[judged.owner])
        right += (judged.logits.argmax(axis=1) == run.emotions[judged.owner]).tolist()
        count = len(hour)
        labelled_in_hour.append(int(rule.labelled(one.noise_logits[:count], one.noise[:count], loud).sum()))
    given = [hit for hit, reason in zip(right, reasons, strict=True) if reason is None]
    recordings = len(run.names)
    return {
        "labelled": len(given) / recordings,
        "precision": float(np.mean(given)) if given else 0.0,
        "reasons": {reason: reasons.count(reason) / recordings for reason in REASONS},
        "missed": 1 - len(reasons) / recordings,
        "labelled_in_hour": labelled_in_hour,
    }
