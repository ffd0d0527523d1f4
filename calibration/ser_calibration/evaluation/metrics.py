"""Metrics of confidence: calibration error, proper scores, reliability, accuracy against coverage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from ser_model.training.calibration_files import ConfidenceFigures, CoveragePoint, ReliabilityBin

Probabilities = npt.NDArray[np.float64]
Classes = npt.NDArray[np.int64]

BINS: Final = 15
"""Number of equal-mass bins (Nixon et al. 2019, arXiv 1904.01685)."""

COVERAGES: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def reliability_bins(probabilities: Probabilities, truth: Classes) -> list[ReliabilityBin]:
    """Return mean confidence and accuracy in bins of equal numbers of answers, the least confident first.

    Args:
        probabilities: shape (n, classes), n at least 1.
        truth: shape (n,).
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    parts = np.array_split(np.argsort(confidence, kind="stable"), min(BINS, len(truth)))
    return [
        {"answers": len(part), "confidence": float(confidence[part].mean()), "accuracy": float(right[part].mean())}
        for part in parts
    ]


def expected_calibration_error(probabilities: Probabilities, truth: Classes) -> float:
    """Return the mean difference between confidence and accuracy over equal-mass bins."""
    rows = reliability_bins(probabilities, truth)
    return float(sum(row["answers"] * abs(row["confidence"] - row["accuracy"]) for row in rows) / len(truth))


def chance_calibration_error(probabilities: Probabilities, draws: int = 200) -> float:
    """Return the calibration error by chance alone: of perfectly calibrated answers with the same confidences."""
    rng = np.random.default_rng(0)
    confidence = np.sort(probabilities.max(axis=1))
    right = rng.random((draws, len(confidence))) < confidence
    parts = np.array_split(np.arange(len(confidence)), min(BINS, len(confidence)))
    gaps = [len(part) * np.abs(right[:, part].mean(axis=1) - confidence[part].mean()) for part in parts]
    return float(np.sum(gaps, axis=0).mean() / len(confidence))


def brier_score(probabilities: Probabilities, truth: Classes) -> float:
    """Return the mean squared error of the probabilities, summed over classes (Brier 1950), 0 to 2."""
    target = np.eye(probabilities.shape[1])[truth]
    return float(np.square(probabilities - target).sum(axis=1).mean())


def log_loss(probabilities: Probabilities, truth: Classes) -> float:
    """Return the mean negative log-likelihood in nats."""
    return float(-np.log(np.maximum(probabilities[np.arange(len(truth)), truth], 1e-12)).mean())


def risk_coverage(probabilities: Probabilities, truth: Classes) -> list[CoveragePoint]:
    """Return the accuracy on the most confident answers (El-Yaniv & Wiener 2010), for each of `COVERAGES`."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    sorted_right = right[np.argsort(-confidence, kind="stable")]
    counts = [max(1, round(share * len(truth))) for share in COVERAGES]
    return [
        {"coverage": share, "accuracy": float(sorted_right[:count].mean())}
        for share, count in zip(COVERAGES, counts, strict=True)
    ]


def summarise(probabilities: Sequence[Probabilities], truth: Sequence[Classes]) -> ConfidenceFigures:
    """Return all figures: means over seeds, and bins and curve over the answers of all seeds.

    Args:
        probabilities: for each seed, shape (n, classes).
        truth: for each seed, shape (n,).
    """
    pairs = list(zip(probabilities, truth, strict=True))
    errors = [expected_calibration_error(*pair) for pair in pairs]
    curves = [risk_coverage(*pair) for pair in pairs]
    everything = np.concatenate(probabilities), np.concatenate(truth)
    return {
        "answers": len(truth[0]),
        "accuracy": float(np.mean([np.mean(one.argmax(axis=1) == known) for one, known in pairs])),
        "ece": float(np.mean(errors)),
        "ece_seeds": errors,
        "ece_all_seeds": expected_calibration_error(*everything),
        "ece_by_chance": float(np.mean([chance_calibration_error(one) for one in probabilities])),
        "brier": float(np.mean([brier_score(*pair) for pair in pairs])),
        "nll": float(np.mean([log_loss(*pair) for pair in pairs])),
        "reliability": reliability_bins(*everything),
        "risk_coverage": [
            {"coverage": share, "accuracy": float(np.mean([curve[at]["accuracy"] for curve in curves]))}
            for at, share in enumerate(COVERAGES)
        ],
    }
