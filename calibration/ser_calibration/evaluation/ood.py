"""Fit out-of-distribution (OOD) detection, and compare how well its methods separate noise from speech."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ser_model.scoring.ood import METHODS, OodMethod, OodParameters, OodScorer
from ser_model.training.calibration_files import WINDOW_MS, DetectionFigures
from ser_model.training.data.corpus import TEST_ACTORS
from ser_model.training.data.dataset import Dataset
from ser_model.training.folds.jobs import Job
from ser_model.training.folds.predictions import Predictions, predict_recordings
from ser_model.training.folds.run_folder import RunFolder
from ser_model.training.networks.architecture import ResLstmSa
from ser_model.training.networks.inference import infer
from ser_model.training.scores import Classes, Logits, auroc
from ser_model.types import Frames

KEPT_SHARE: Final = 0.99
"""Share of the augmented speech of validation actors that stays below the limit."""

_SHRINKAGE: Final = 0.01
"""Shrinkage of the shared covariance towards a multiple of the identity."""

Scores = npt.NDArray[np.float64]


class FoldScores(NamedTuple):
    """Scores of one method by the networks of one seed and fold."""

    validation: Scores
    """Of augmented utterances of validation actors, shape (n,)."""
    validation_actors: Classes
    """Shape (n,)."""
    windows: Scores
    """Of their windows."""
    test: Scores
    """Of clean utterances of test actors, in the order of `out_of_fold`."""
    augmented: Scores
    """Of augmented utterances of test actors."""
    noise: Scores
    """Of noise that passes the gate, by the network for test actors."""
    noise_logits: Logits
    """Shape (noises, 8)."""


def fit_scorer(
    method: OodMethod, known: Predictions, emotions: Classes, limit: float, window_limit: float
) -> OodScorer:
    """Fit the scorer of a network.

    Args:
        method: one of `METHODS`.
        known: predictions for the speech that the network was trained on.
        emotions: class of every recording.
        limit: of whole utterances.
        window_limit: of windows.
    """
    if method == "energy":
        return OodScorer(OodParameters(method=method, limit=limit, window_limit=window_limit))
    embeddings, truth = known.embeddings.astype(np.float64), emotions[known.owner]
    labels = np.unique(truth)
    means = np.stack([embeddings[truth == label].mean(axis=0) for label in labels])
    spread = embeddings - means[np.searchsorted(labels, truth)]
    covariance = spread.T @ spread / len(spread)
    size = len(covariance)
    scale = max(float(np.trace(covariance)) / size, 1e-12)
    covariance = (1 - _SHRINKAGE) * covariance + _SHRINKAGE * scale * np.eye(size)
    whitening = np.linalg.cholesky(np.linalg.inv(covariance)).T
    parameters = OodParameters(
        method=method,
        limit=limit,
        window_limit=window_limit,
        means=_rounded(means @ whitening.T),
        whitening=_rounded(whitening),
    )
    return OodScorer(parameters)


def _rounded(matrix: npt.NDArray[np.float64]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(f"{value:.5g}") for value in row) for row in matrix.tolist())


def augmented_only(dataset: Dataset) -> Dataset:
    """Replace each clean recording by its first augmented variant, or by nothing if the gate missed that."""
    rows = [row[int(utterances > 0) :][:1] for row, utterances in zip(dataset.frames, dataset.utterances, strict=True)]
    found = np.array([len(row) for row in rows], dtype=np.int64)
    voiced = [np.zeros(len(row[0]) if row else 0, dtype=np.int64) for row in rows]
    return Dataset(dataset.recordings, rows, found, voiced)


def score_fold(
    run: RunFolder, dataset: Dataset, seed: int, fold: int, noise: Sequence[Frames]
) -> dict[OodMethod, FoldScores]:
    """Return the scores of every method by the two networks of a fold, each fitted on its clean training speech.

    Args:
        run: whose networks are used.
        dataset: with one augmented variant of each recording.
        seed: of the networks.
        fold: of the networks.
        noise: frames of noise that passes the gate.
    """
    augmented = augmented_only(dataset)
    validation = _predict_split(run, dataset, augmented, Job(seed, fold, "validation"))
    test = _predict_split(run, dataset, augmented, Job(seed, fold, "test"))
    windows = predict_recordings(validation.network, augmented, validation.own, WINDOW_MS)
    clean = predict_recordings(test.network, dataset, test.own)
    noise_logits, noise_embeddings = infer(test.network, noise)
    scores: dict[OodMethod, FoldScores] = {}
    for method in METHODS:
        scorer, test_scorer = (fit_scorer(method, one.known, run.emotions, 0.0, 0.0) for one in (validation, test))
        scores[method] = FoldScores(
            validation=scorer.scores(validation.augmented.logits, validation.augmented.embeddings),
            validation_actors=run.actors[validation.augmented.owner],
            windows=scorer.scores(windows.logits, windows.embeddings),
            test=test_scorer.scores(clean.logits, clean.embeddings),
            augmented=test_scorer.scores(test.augmented.logits, test.augmented.embeddings),
            noise=test_scorer.scores(noise_logits, noise_embeddings),
            noise_logits=noise_logits,
        )
    return scores


class _SplitPredictions(NamedTuple):
    """Predictions of one network."""

    network: ResLstmSa
    own: Classes
    """Indices of the recordings that it is evaluated on."""
    known: Predictions
    """For the clean recordings that it was trained on."""
    augmented: Predictions
    """For its own recordings, augmented."""


def _predict_split(run: RunFolder, dataset: Dataset, augmented: Dataset, job: Job) -> _SplitPredictions:
    network = run.network(job.seed, job.fold, job.split)
    own = np.flatnonzero(np.isin(run.actors, list(job.evaluated_speakers)))
    trained = np.flatnonzero(~np.isin(run.actors, list(job.held_out_speakers)))
    known = predict_recordings(network, dataset, trained)
    return _SplitPredictions(network, own, known, predict_recordings(network, augmented, own))


def fit_limit(scores: Sequence[FoldScores], fold: int | None) -> float:
    """Return the limit that keeps `KEPT_SHARE` of the validation actors' augmented speech.

    Args:
        scores: for all seeds and folds.
        fold: leave out its test actors; `None` uses all actors.
    """
    parts = [
        one.validation if fold is None else one.validation[~np.isin(one.validation_actors, TEST_ACTORS[fold])]
        for one in scores
    ]
    return float(np.quantile(np.concatenate(parts), KEPT_SHARE))


def compare_methods(scores: dict[OodMethod, list[FoldScores]], noises: slice) -> dict[OodMethod, DetectionFigures]:
    """Return by method the area under the ROC curve of noise against test actors' speech, clean and augmented.

    Args:
        scores: by method, for each seed and fold.
        noises: which noises are compared, at least one.
    """
    figures: dict[OodMethod, DetectionFigures] = {}
    for method, folds in scores.items():
        areas = [auroc(one.test, one.noise[noises]) for one in folds]
        augmented = [auroc(one.augmented, one.noise[noises]) for one in folds]
        figures[method] = {
            "auroc": float(np.mean(areas)),
            "std": float(np.std(areas)),
            "varied": float(np.mean(augmented)),
        }
    return figures


def fit_final_parameters(
    network: ResLstmSa, run: RunFolder, dataset: Dataset, method: OodMethod, scores: Sequence[FoldScores]
) -> OodParameters:
    """Return the parameters of the final network: its own means and covariance, and the limits of held-out actors."""
    known = predict_recordings(network, dataset, np.arange(len(run.names)))
    window_limit = float(np.quantile(np.concatenate([one.windows for one in scores]), KEPT_SHARE))
    return fit_scorer(method, known, run.emotions, round(fit_limit(scores, None), 4), round(window_limit, 4)).parameters
