"""Fits what sounds unlike the speech that a network knows, and measures which way tells noise from speech best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ser_calibration.evaluation.metrics import auroc
from ser_model.scoring.ood import METHODS, OodMethod, OodParameters, OodScorer
from ser_model.training.calibration_files import WINDOW_MS, DetectionFigures
from ser_model.training.data.corpus import TEST_ACTORS
from ser_model.training.data.dataset import Dataset
from ser_model.training.folds.jobs import Job
from ser_model.training.folds.predictions import Predictions, predict_recordings
from ser_model.training.folds.run_folder import RunFolder
from ser_model.training.networks.architecture import ResLstmSa
from ser_model.training.networks.inference import infer
from ser_model.training.scores import Classes, Logits
from ser_model.types import Frames

KEPT: Final = 0.99
"""Share of the speech of validation actors, in noise and in rooms, that stays below the limit."""
_SHRINK: Final = 0.01
"""Of the shared covariance towards a multiple of the identity."""

Scores = npt.NDArray[np.float64]


class FoldScores(NamedTuple):
    """Scores of one method by the networks of one seed and fold."""

    validation: Scores
    """Of varied utterances of validation actors, shape (n,)."""
    validation_actors: Classes
    """Shape (n,)."""
    windows: Scores
    """Of their windows."""
    test: Scores
    """Of clean utterances of test actors, as `out_of_fold` orders them."""
    varied: Scores
    """Of varied ones."""
    noise: Scores
    """Of noise that the gate took for speech, by the network that answers for test actors."""
    noise_logits: Logits
    """Shape (noises, 8)."""


def fit_scorer(
    method: OodMethod, judged: Predictions, emotions: Classes, limit: float, window_limit: float
) -> OodScorer:
    """Scorer for a network, from its answers for the speech it was trained on."""
    if method == "energy":
        return OodScorer(OodParameters(method=method, limit=limit, window_limit=window_limit))
    embeddings, truth = judged.embeddings.astype(np.float64), emotions[judged.owner]
    labels = np.unique(truth)
    means = np.stack([embeddings[truth == label].mean(axis=0) for label in labels])
    spread = embeddings - means[np.searchsorted(labels, truth)]
    covariance = spread.T @ spread / len(spread)
    size = len(covariance)
    scale = max(float(np.trace(covariance)) / size, 1e-12)
    covariance = (1 - _SHRINK) * covariance + _SHRINK * scale * np.eye(size)
    whitening = np.linalg.cholesky(np.linalg.inv(covariance)).T
    made = OodParameters(
        method=method,
        limit=limit,
        window_limit=window_limit,
        means=_rounded(means @ whitening.T),
        whitening=_rounded(whitening),
    )
    return OodScorer(made)


def _rounded(matrix: npt.NDArray[np.float64]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(f"{value:.5g}") for value in row) for row in matrix.tolist())


def vary(dataset: Dataset) -> Dataset:
    """The first variant of each recording in place of the clean one; nothing where the gate missed it."""
    rows = [row[int(found > 0) :][:1] for row, found in zip(dataset.frames, dataset.utterances, strict=True)]
    there = np.array([len(row) for row in rows], dtype=np.int64)
    nothing = [np.zeros(len(row[0]) if row else 0, dtype=np.int64) for row in rows]
    return Dataset(dataset.recordings, rows, there, nothing)


def score_fold(
    run: RunFolder, dataset: Dataset, seed: int, fold: int, noise: Sequence[Frames]
) -> dict[OodMethod, FoldScores]:
    """Scores of every method by a fold's two networks, each fitted on the clean speech it was trained on.

    Args:
        run: whose networks.
        dataset: with a variant of each recording.
        seed: of the networks.
        fold: of the networks.
        noise: frames of noise.
    """
    varied = vary(dataset)
    made: dict[OodMethod, dict[str, Any]] = {method: {} for method in METHODS}
    for split in ("validation", "test"):
        network = run.network(seed, fold, split)
        job = Job(seed, fold, split)
        own = np.flatnonzero(np.isin(run.actors, list(job.evaluated_speakers)))
        trained = np.flatnonzero(~np.isin(run.actors, list(job.held_out_speakers)))
        known, heard = predict_recordings(network, dataset, trained), predict_recordings(network, varied, own)
        windows = predict_recordings(network, varied, own, WINDOW_MS) if split == "validation" else None
        clean = predict_recordings(network, dataset, own) if split == "test" else None
        noises = infer(network, noise) if split == "test" else None
        for method in METHODS:
            scorer = fit_scorer(method, known, run.emotions, 0.0, 0.0)
            row = made[method]
            row["varied" if split == "test" else split] = scorer.scores(heard.logits, heard.embeddings)
            if clean is not None:
                row["test"] = scorer.scores(clean.logits, clean.embeddings)
            if windows is not None:
                row["validation_actors"] = run.actors[heard.owner]
                row["windows"] = scorer.scores(windows.logits, windows.embeddings)
            if noises is not None:
                row["noise"], row["noise_logits"] = scorer.scores(*noises), noises[0]
    return {method: FoldScores(**row) for method, row in made.items()}


def limit_for(scores: Sequence[FoldScores], fold: int | None) -> float:
    """Limit below which `KEPT` of the varied utterances of validation actors lie, without the fold's test actors."""
    parts = [
        one.validation if fold is None else one.validation[~np.isin(one.validation_actors, TEST_ACTORS[fold])]
        for one in scores
    ]
    return float(np.quantile(np.concatenate(parts), KEPT))


def compare(scores: dict[OodMethod, list[FoldScores]], noises: slice) -> dict[OodMethod, DetectionFigures]:
    """Area under the ROC curve of noise against the speech of test actors, clean and varied, by method.

    Args:
        scores: by method, for each seed and fold.
        noises: which to count, at least one.
    """
    out: dict[OodMethod, DetectionFigures] = {}
    for method, folds in scores.items():
        areas = [auroc(one.test, one.noise[noises]) for one in folds]
        varied = [auroc(one.varied, one.noise[noises]) for one in folds]
        out[method] = {"auroc": float(np.mean(areas)), "std": float(np.std(areas)), "varied": float(np.mean(varied))}
    return out


def final_parameters(
    network: ResLstmSa, run: RunFolder, dataset: Dataset, method: OodMethod, scores: Sequence[FoldScores]
) -> OodParameters:
    """For the shipped network: its own means and covariance, with the limits that held-out actors chose."""
    known = predict_recordings(network, dataset, np.arange(len(run.names)))
    window_limit = float(np.quantile(np.concatenate([one.windows for one in scores]), KEPT))
    return fit_scorer(method, known, run.emotions, round(limit_for(scores, None), 4), round(window_limit, 4)).parameters
