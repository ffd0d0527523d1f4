"""`ser-calibrate cross-corpus`: fit what a model says to strangers, and measure it on corpora left out of the fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from scipy.special import expit

from ser_calibration.cross_corpus.adaptation import measure_adaptation
from ser_calibration.cross_corpus.answers import Evidence, HeldOutAnswers, answer_held_out
from ser_calibration.cross_corpus.fitting import StrangerCalibration, fit, levels
from ser_calibration.cross_corpus.noise import NoiseHours, count_labelled_by, fit_detection, hear_noise, seconds
from ser_calibration.cross_corpus.report import print_calibration
from ser_model.config import DecisionConfig
from ser_model.labels import LABELS
from ser_model.scoring.activation import log_odds
from ser_model.scoring.logit_bias import fit_class_mean_logits
from ser_model.training.corpora.corpora_run import CorporaRun, load_pool, open_corpora, reopen_run
from ser_model.training.corpora.held_out import HeldOut, corpus_networks, fold_networks, load_network
from ser_model.training.corpora.recording_pool import RecordingPool
from ser_model.training.corpora.summary import average
from ser_model.training.cross_corpus_file import CrossCorpusFile, write_cross_corpus
from ser_model.training.experiments.world_metrics import UNLABELLED, Answers, Metrics, measure
from ser_model.training.folds.predictions import Predictions
from ser_model.training.folds.run_folder import digest
from ser_model.training.networks.architecture import with_logit_bias
from ser_model.training.scores import posterior
from ser_model.types import to_samples


def calibrate(folder: Path, noise: Path | None, *, seconds_of_noise: int | None, workers: int | None) -> None:
    """Fit temperatures, thresholds and activation on corpora that are held out; write RUN/calibration.json.

    Args:
        folder: the run, whose networks that are held out are trained for at least one seed, and its final network.
        noise: folder of noises for out-of-distribution detection; `None`: there is none.
        seconds_of_noise: length of each hour of noise; `None`: an hour.
        workers: processes that compute frames; `None`: one per core.

    Raises:
        SerError: a folder isn't what is expected, or a network is not trained.
    """
    torch.set_num_threads(1)
    run = reopen_run(folder, workers)
    pool = load_pool(run, open_corpora(run))
    abroad = answer_held_out(run, pool, [corpus_networks([seed], pool.corpora) for seed in _seeds(run, pool)])
    # What is only measured decides nothing, not even a threshold.
    measured = run.targets.only_measured
    fitted = _fit(abroad, measured)
    shifted = abroad.shifted(fitted.bias)
    home_seeds = [seed for seed in abroad.seeds if _is_trained(run, fold_networks([seed]))]
    home = answer_held_out(run, pool, [fold_networks([seed]) for seed in home_seeds]) if home_seeds else None
    without = [_fit(abroad, (*measured, corpus.name)) for corpus in pool.corpora]
    hours = None if noise is None else hear_noise(noise, seconds_of_noise)
    result: CrossCorpusFile = {
        "seeds": list(abroad.seeds),
        "fitted": {
            "logit_bias": fitted.bias.tolist(),
            "temperature": fitted.temperature.long,
            "short_temperature": fitted.temperature.short,
            "unknown_below": fitted.unknown_below,
            "activation": asdict(fitted.activation),
            "class_mean_logits": _class_mean_logits(shifted, measured),
        },
        "abroad": _measure(abroad, without),
        "home": None if home is None else _measure(home, [fitted] * len(pool.corpora)),
        "adaptation": measure_adaptation(shifted),
        "noise": None if hours is None else _measure_noise(run, pool, hours, shifted, fitted),
    }
    write_cross_corpus(folder, result)
    print_calibration(result)


def _seeds(run: CorporaRun, pool: RecordingPool) -> list[int]:
    """Seeds whose networks are all trained; seed 0 if there is none, so that what is missing gets named."""
    found = range(len(list(run.output.glob(f"seed*-without-{pool.corpora[0].name}.pt"))))
    return [seed for seed in found if _is_trained(run, corpus_networks([seed], pool.corpora))] or [0]


def _is_trained(run: CorporaRun, networks: Sequence[HeldOut]) -> bool:
    return all((run.output / f"{one.name}.pt").exists() for one in networks)


def _fit(answers: HeldOutAnswers, left_out: Sequence[str]) -> StrangerCalibration:
    return fit([Evidence.of(answers.pool, kind, left_out) for kind in answers.kinds()])


def _class_mean_logits(answers: HeldOutAnswers, left_out: Sequence[str]) -> list[list[float]]:
    pool, whole = answers.pool, answers.kinds()[0]
    kept = [at for at, corpus in enumerate(pool.corpora) if corpus.name not in left_out]
    means: list[list[float]] = fit_class_mean_logits(
        whole.where(np.isin(pool.corpus[whole.owner], kept)).logits
    ).tolist()
    return means


def _measure(answers: HeldOutAnswers, calibrations: Sequence[StrangerCalibration]) -> list[Metrics]:
    """Return the metrics of each corpus, means over seeds, each corpus with its own calibration."""
    pool = answers.pool
    return [
        average([_measure_corpus(pool, predictions, at, calibrations[at]) for predictions in answers.whole])
        for at in range(len(pool.corpora))
    ]


def _measure_corpus(
    pool: RecordingPool, predictions: Predictions, at: int, calibration: StrangerCalibration
) -> Metrics:
    own = pool.corpus == at
    first = int(own.argmax())
    kept = predictions.where(own[predictions.owner]).shifted(calibration.bias)
    known = posterior(kept.logits, calibration.temperature.after(kept.voiced))
    scores = np.full((int(own.sum()), len(LABELS)), 1 / len(LABELS))
    labels = np.full(len(scores), UNLABELLED, dtype=np.int64)
    scores[kept.owner - first] = known
    long = kept.voiced >= to_samples(DecisionConfig().min_voiced_ms)
    given = long & (known.max(axis=1) >= calibration.unknown_below)
    labels[kept.owner - first] = np.where(given, known.argmax(axis=1), UNLABELLED)
    metrics = measure(pool.corpora[at], Answers(scores, labels, pool.utterances[own]))
    evidence = Evidence.of(pool, kept)
    if len(evidence.weights):
        acted = pool.emotions[kept.owner] >= 0
        metrics["activation"] = _measure_activation(known[acted], long[acted], evidence, calibration)
    return metrics


def _measure_activation(
    scores: np.ndarray, long: np.ndarray, evidence: Evidence, calibration: StrangerCalibration
) -> Metrics:
    """Share of recordings of high or low activation for which a level is said, and of these how many are right."""
    high, low = levels(evidence)
    used = high | low
    parameters = calibration.activation
    probability = expit(parameters.slope * log_odds(scores) + parameters.offset)[used]
    said = long[used] & (np.maximum(probability, 1 - probability) >= parameters.unknown_below)
    right = (probability > 0.5) == high[used]
    return {
        "said": float(np.mean(said)) if len(said) else None,
        "right": float(np.mean(right[said])) if said.any() else None,
    }


def _measure_noise(
    run: CorporaRun, pool: RecordingPool, hours: NoiseHours, answers: HeldOutAnswers, fitted: StrangerCalibration
) -> Metrics:
    parameters, detection = fit_detection(run, pool, hours, answers.windows[0], fitted)
    final = HeldOut(0)
    network = with_logit_bias(load_network(run.output, final, run.config.variant), fitted.bias)
    return {
        "open": hours.open,
        "sounds": len(hours.hour),
        "seconds": seconds(hours.hour),
        "method": detection.method,
        "auroc": detection.auroc,
        "rejected": detection.rejected,
        "labelled_held_out": detection.labelled,
        "labelled_final": count_labelled_by(network, parameters, hours, fitted),
        "sha256": digest(run.output / f"{final.name}.pt"),
        "unlike_speech": parameters.to_mapping(),
    }
