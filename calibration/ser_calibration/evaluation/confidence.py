"""`ser-calibrate confidence`: fit temperatures on validation actors, and measure calibration on test actors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from rich.progress import track

from ser_calibration.evaluation.calibration_methods import compare_methods
from ser_calibration.evaluation.confidence_report import FITTED_ON, print_confidence
from ser_calibration.evaluation.metrics import summarise
from ser_calibration.evaluation.run_data import RunSource
from ser_calibration.evaluation.temperatures import Folds, fit_folds
from ser_model.config import DecisionConfig
from ser_model.scoring.temperature import Temperature
from ser_model.training.calibration_files import (
    PRECISION,
    WINDOW_MS,
    ConfidenceFile,
    FittedConfidence,
    MeasuredConfidence,
    VoicedConfidence,
    write_confidence,
)
from ser_model.training.folds.jobs import FOLDS, Split
from ser_model.training.folds.predictions import Predictions, out_of_fold
from ser_model.training.folds.run_folder import RunFolder
from ser_model.training.scores import posterior, unknown_threshold
from ser_model.types import SAMPLE_RATE

VOICED_SECONDS: Final = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
"""Limits of the bins of answers by the voiced speech of their utterance so far."""

Scores = npt.NDArray[np.float64]


def measure_confidence(source: RunSource) -> None:
    """Print a run's calibration before and after; write RUN/confidence.json, which export reads.

    Raises:
        SerError: a folder isn't what is expected.
    """
    run, _, dataset = source.load()
    lengths = {"utterance": None, "window": WINDOW_MS, "full_window": WINDOW_MS}
    lengths |= {"live_window": DecisionConfig().window_ms}
    kinds_of: dict[Split, tuple[str, ...]] = {"validation": FITTED_ON, "test": tuple(lengths)}
    validation, test = (
        {
            kind: [out_of_fold(run, dataset, seed, split, lengths[kind], kind == "full_window") for seed in run.seeds]
            for kind in track(kinds, f"answers for {split} actors")
        }
        for split, kinds in kinds_of.items()
    )
    temperatures = fit_folds(run, [validation[kind] for kind in FITTED_ON])
    measured = {kind: measure_kind(run, temperatures, test[kind]) for kind in lengths}
    for kind, length in lengths.items():
        measured[kind]["window_ms"] = length
    for kind in FITTED_ON:
        known = _join(validation[kind])
        measured[kind]["methods"] = compare_methods(known.logits, run.emotions[known.owner], run.actors[known.owner])
    result: ConfidenceFile = {
        "seeds": list(run.seeds),
        "recordings": len(run.names),
        "fitted": fit_model(run, temperatures[-1], validation["utterance"]),
        "measured": measured,
        "heard": measure_by_voiced(run, temperatures, [test[kind] for kind in FITTED_ON]),
    }
    write_confidence(source.folder, result)
    print_confidence(result)


def fit_model(run: RunFolder, temperature: Temperature, whole: Sequence[Folds]) -> FittedConfidence:
    """Return the values for the exported model: the temperatures, and the threshold of `unknown` that fits them.

    Args:
        run: whose predictions they are.
        temperature: fitted on all validation actors.
        whole: for each seed, the predictions for validation actors' utterances by fold.
    """
    utterances = _join(whole)
    scores = posterior(utterances.logits, temperature.after(utterances.voiced))
    return {
        "temperature": temperature.long,
        "short_temperature": temperature.short,
        "window_ms": WINDOW_MS,
        "precision": PRECISION,
        "unknown_below": unknown_threshold(
            scores, run.emotions[utterances.owner], run.actors[utterances.owner], PRECISION
        ),
    }


def measure_kind(run: RunFolder, temperatures: Sequence[Temperature], test: Sequence[Folds]) -> MeasuredConfidence:
    """Return the figures of one kind of predictions, with and without temperatures.

    Args:
        run: whose predictions they are.
        temperatures: for each fold, fitted without its test actors.
        test: for each seed, the predictions for test actors by fold.
    """
    truth = [np.concatenate([run.emotions[fold.owner] for fold in seed]) for seed in test]
    before = [np.concatenate([posterior(fold.logits) for fold in seed]) for seed in test]
    after = [np.concatenate(_calibrate(temperatures, seed)) for seed in test]
    return {
        "temperatures": [[one.short, one.long] for one in temperatures[: len(FOLDS)]],
        "before": summarise(before, truth),
        "after": summarise(after, truth),
    }


def measure_by_voiced(
    run: RunFolder, temperatures: Sequence[Temperature], kinds: Sequence[Sequence[Folds]]
) -> list[VoicedConfidence]:
    """Return accuracy and mean confidence by the duration of voiced speech.

    Args:
        run: whose predictions they are.
        temperatures: for each fold, fitted without its test actors.
        kinds: for each kind and seed, the predictions for test actors by fold.
    """
    seeds = [seed for kind in kinds for seed in kind]
    joined = _join(seeds)
    after = np.concatenate([part for seed in seeds for part in _calibrate(temperatures, seed)]).max(axis=1)
    before = posterior(joined.logits).max(axis=1)
    right = joined.logits.argmax(axis=1) == run.emotions[joined.owner]
    bins = np.digitize(joined.voiced / SAMPLE_RATE, VOICED_SECONDS)
    rows: list[VoicedConfidence] = []
    for number, up_to in enumerate((*VOICED_SECONDS, None)):
        own = bins == number
        if own.any():
            accuracy, mean_before, mean_after = (float(values[own].mean()) for values in (right, before, after))
            rows.append({"up_to_seconds": up_to, "accuracy": accuracy, "before": mean_before, "after": mean_after})
    return rows


def _join(seeds: Sequence[Folds]) -> Predictions:
    return Predictions.join([fold for seed in seeds for fold in seed])


def _calibrate(temperatures: Sequence[Temperature], folds: Folds) -> list[Scores]:
    pairs = zip(folds, temperatures, strict=False)
    return [posterior(fold.logits, temperature.after(fold.voiced)) for fold, temperature in pairs]
