"""Metrics of a finished model on one corpus that it did not learn from."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ser_model.labels import LABELS
from ser_model.scoring.activation import HIGH, LOW, log_odds
from ser_model.training.data.labelled_corpus import LabelledCorpus
from ser_model.training.scores import MISSED, Classes, auroc, confusion, uar

UNEMOTIONAL: Final = ("neutral", "calm")
AGES: Final = (0, 18, 30, 45, 60, 200)
"""Bounds of the age groups in years: the first included, the next excluded."""
ECE_BINS: Final = 15
"""Bins of equal numbers, as in `ser-calibrate confidence`."""
UNLABELLED: Final = -1

Metrics = dict[str, Any]
"""Metrics by name, as they are written to JSON."""
Mask = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.float64]

_NEUTRAL, _CALM = (LABELS.index(label) for label in UNEMOTIONAL)


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What a model answers for the recordings of a corpus."""

    scores: Scores
    """Posterior, shape (recordings, 8); uniform where the gate found nothing."""
    labels: Classes
    """Label of the final result; `UNLABELLED` for `unknown`, shape (recordings,)."""
    utterances: Classes
    """Number of utterances that the gate found in each recording, shape (recordings,)."""

    @property
    def single(self) -> Mask:
        """Recordings that the gate takes for exactly one utterance."""
        return np.asarray(self.utterances == 1)


def merge_calm(classes: Classes, expressible: Mask) -> Classes:
    """Count neutral and calm as one class where a corpus has only one of them: its neutral may be another's calm."""
    if expressible[_NEUTRAL] == expressible[_CALM]:
        return classes
    kept, merged = (_NEUTRAL, _CALM) if expressible[_NEUTRAL] else (_CALM, _NEUTRAL)
    return np.where(classes == merged, kept, classes)


def shared_scores(scores: Scores, expressible: Mask) -> Scores:
    """Restrict scores to the classes that a corpus can express; others get -1.

    Where it has only one of neutral and calm, that class gets the sum of both.
    """
    out = scores.copy()
    if expressible[_NEUTRAL] != expressible[_CALM]:
        kept = _NEUTRAL if expressible[_NEUTRAL] else _CALM
        out[:, kept] = scores[:, _NEUTRAL] + scores[:, _CALM]
    return np.where(expressible, out, -1.0)


def measure(corpus: LabelledCorpus, answers: Answers) -> Metrics:
    """Return all metrics of a corpus; those that it can't give are left out."""
    rows: Metrics = {
        "corpus": corpus.name,
        "languages": list(corpus.languages),
        "recordings": len(corpus.recordings),
        "speakers": len(corpus.speakers),
        "left_out": dict(corpus.left_out),
        "missed": float(np.mean(answers.utterances == 0)),
        "split": float(np.mean(answers.utterances > 1)),
    }
    acted = corpus.emotions >= 0
    if acted.any():
        rows |= _recognition(corpus, answers, acted)
    if not acted.all():
        rows["ordinary"] = _ordinary(answers, ~acted)
    return rows


def _recognition(corpus: LabelledCorpus, answers: Answers, acted: Mask) -> Metrics:
    """Metrics of the recordings that have an emotion. Recordings that the gate misses or splits count as errors."""
    expressible, single = corpus.expressible, answers.single
    truth = corpus.emotions[acted]
    best = merge_calm(answers.scores.argmax(axis=1), expressible)
    answered = np.where(single, best, MISSED)
    shared = np.where(single, shared_scores(answers.scores, expressible).argmax(axis=1), MISSED)
    labels = np.where(single, merge_calm(answers.labels, expressible), UNLABELLED)[acted]
    given = labels != UNLABELLED
    heard = acted & single
    confidence, right = answers.scores.max(axis=1)[heard], (best == corpus.emotions)[heard]
    return {
        "classes": [label for label, given in zip(LABELS, expressible, strict=True) if given],
        "chance": 1 / int(expressible.sum()),
        "uar": uar(truth, shared[acted]),
        "uar_of_eight": uar(truth, answered[acted]),
        "labelled": float(np.mean(given)),
        "precision": float(np.mean(labels[given] == truth[given])) if given.any() else None,
        "ece": calibration_error(confidence, right) if heard.any() else None,
        "overconfidence": float(np.mean(confidence) - np.mean(right)) if heard.any() else None,
        "arousal_auc": _arousal_auc(corpus.emotions, answers),
        "confusion": confusion(truth, answered[acted]).tolist(),
        "groups": _groups(corpus, shared, acted),
    }


def _ordinary(answers: Answers, ordinary: Mask) -> Metrics:
    """Answers where nobody acts, of the recordings that the gate takes for one utterance."""
    labels = answers.labels[ordinary & answers.single]
    given = labels != UNLABELLED
    emotional = given & ~np.isin(labels, (_NEUTRAL, _CALM))
    counts = np.bincount(labels[given], minlength=len(LABELS))
    return {
        "recordings": int(ordinary.sum()),
        "utterances": len(labels),
        "labelled": float(np.mean(given)) if len(labels) else None,
        "emotional": float(np.mean(emotional)) if len(labels) else None,
        "emotional_of_labelled": float(np.mean(emotional[given])) if given.any() else None,
        "labels": {label: int(count) for label, count in zip(LABELS, counts, strict=True)},
    }


def calibration_error(confidence: Scores, right: Mask) -> float:
    """Expected calibration error, in bins of equal numbers (Nixon et al. 2019, arXiv 1904.01685)."""
    order = np.argsort(confidence, kind="stable")
    bins = [part for part in np.array_split(order, ECE_BINS) if len(part)]
    gaps = [len(part) * abs(float(np.mean(confidence[part]) - np.mean(right[part]))) for part in bins]
    return float(np.sum(gaps) / len(confidence))


def _arousal_auc(emotions: Classes, answers: Answers) -> float | None:
    """Probability that a recording of high arousal gets higher log-odds than one of low arousal."""
    value = log_odds(answers.scores)
    high, low = (
        value[answers.single & np.isin(emotions, [LABELS.index(label) for label in names])] for names in (HIGH, LOW)
    )
    return auroc(low, high) if len(low) and len(high) else None


def _groups(corpus: LabelledCorpus, predicted: Classes, acted: Mask) -> list[Metrics]:
    """UAR by sex and by age, where they are known."""
    sexes = np.array([one.sex for one in corpus.recordings])
    ages = np.array([-1 if one.age is None else one.age for one in corpus.recordings])
    speakers = np.array([one.speaker for one in corpus.recordings])
    groups = [(sex, sexes == sex) for sex in sorted(set(sexes) - {""})]
    for low, high in pairwise(AGES):
        title = f"{low} to {high - 1} years" if high < AGES[-1] else f"{low} years and more"
        groups.append((title, (ages >= low) & (ages < high)))
    return [
        {
            "title": str(title),
            "recordings": int(own.sum()),
            "speakers": len(set(speakers[own])),
            "uar": uar(corpus.emotions[own], predicted[own]),
        }
        for title, mask in groups
        for own in [mask & acted]
        if own.any()
    ]
