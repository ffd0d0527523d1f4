"""Out-of-distribution detection of the final network, and what it answers to hours without speech."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.progress import track

from ser_calibration.cross_corpus.fitting import StrangerCalibration
from ser_calibration.evaluation.gate_evaluation import FalseAlarm, find_false_alarms
from ser_calibration.evaluation.noise_stream import SECONDS
from ser_calibration.evaluation.ood import KEPT_SHARE, fit_scorer
from ser_calibration.evaluation.unknown import OTHER_HOURS, track_clips
from ser_model.config import DecisionConfig
from ser_model.scoring.ood import METHODS, OodMethod, OodParameters, OodScorer
from ser_model.training.corpora.corpora_run import CorporaRun
from ser_model.training.corpora.held_out import HeldOut, corpus_networks, load_network
from ser_model.training.corpora.recording_pool import RecordingPool
from ser_model.training.data.dataset import Counts
from ser_model.training.folds.predictions import Predictions, predict_recordings
from ser_model.training.networks.architecture import ResLstmSa, with_logit_bias
from ser_model.training.networks.inference import infer
from ser_model.training.scores import Classes, auroc, posterior
from ser_model.types import SAMPLE_RATE, Frames, to_samples

_LEARNED = 3_000
"""Recordings, drawn at random, that the means and the covariance of a network that is held out are fitted on."""


@dataclass(frozen=True, slots=True)
class NoiseHours:
    """Noise that the gate takes for speech."""

    hour: list[FalseAlarm]
    """Of the hour of seed 0."""
    others: list[FalseAlarm]
    open: float
    """Share of the hour for which the gate is open."""


@dataclass(frozen=True, slots=True)
class Detection:
    """How well sounds that are not speech are told from speech of strangers."""

    method: OodMethod
    auroc: dict[OodMethod, float]
    """Of noise in other hours against augmented speech, means over the networks."""
    rejected: float
    """Share of the clean utterances of strangers that are rejected, the mean over corpora."""
    labelled: list[int]
    """For each network that is held out, how many sounds of the hour get a label."""


def hear_noise(noise: Path, seconds: int | None = None) -> NoiseHours:
    """Run the gate on hours of noise.

    Raises:
        SerError: The folder has no noise.
    """
    seconds = seconds or SECONDS
    hour, samples = find_false_alarms(track_clips(noise, seconds))
    streams = [track_clips(noise, seconds, seed, every_kind=True) for seed in OTHER_HOURS]
    others = [one for clips in streams for one in find_false_alarms(clips)[0]]
    return NoiseHours(hour, others, sum(one.samples for one in hour) / samples)


@dataclass(frozen=True, eq=False)
class _Augmented:
    """The first augmented variant of each recording, in place of the clean one."""

    frames: list[list[Frames]]
    utterances: Classes
    voiced: list[Counts]

    @classmethod
    def of(cls, pool: RecordingPool) -> _Augmented:
        rows = [own[int(found > 0) :][:1] for own, found in zip(pool.frames, pool.utterances, strict=True)]
        voiced = [np.zeros(len(row[0]) if row else 0, dtype=np.int64) for row in rows]
        return cls(rows, np.array([len(row) for row in rows], dtype=np.int64), voiced)


@dataclass(frozen=True, slots=True)
class _Scores:
    """Scores of one method by one network that is held out."""

    augmented: npt.NDArray[np.float64]
    clean: npt.NDArray[np.float64]
    windows: npt.NDArray[np.float64]
    hour: npt.NDArray[np.float64]
    others: npt.NDArray[np.float64]


def fit_detection(
    run: CorporaRun, pool: RecordingPool, hours: NoiseHours, windows: Predictions, calibration: StrangerCalibration
) -> tuple[OodParameters, Detection]:
    """Fit the parameters for the final network; the limits come from networks that never heard a corpus.

    Args:
        run: the run, whose final network is trained.
        pool: its recordings, with at least one variant each.
        hours: the noise.
        windows: predictions of seed 0 for windows of the corpora that are held out.
        calibration: decides which sounds of the hour get a label.

    Raises:
        SerError: A network is not trained.
    """
    by_method, hour_logits = _score(run, pool, hours, windows, calibration.bias)
    areas = {method: _mean_area(rows) for method, rows in by_method.items()}
    method = max(areas, key=lambda name: areas[name])
    rows = by_method[method]
    limit, window_limit = (
        round(float(np.mean([np.quantile(getattr(row, name), KEPT_SHARE) for row in rows])), 4)
        for name in ("augmented", "windows")
    )
    labelled = [
        _count_labelled(hours.hour, logits, row.hour > limit, calibration)
        for row, logits in zip(rows, hour_logits, strict=True)
    ]
    rejected = float(np.mean([np.mean(row.clean > limit) for row in rows]))
    final = with_logit_bias(load_network(run.output, HeldOut(0), run.config.variant), calibration.bias)
    known = predict_recordings(final, pool, np.flatnonzero(pool.learned(run.targets)))
    parameters = fit_scorer(method, known, np.maximum(pool.emotions, 0), limit, window_limit).parameters
    return parameters, Detection(method, areas, rejected, labelled)


def _score(
    run: CorporaRun, pool: RecordingPool, hours: NoiseHours, windows: Predictions, bias: npt.NDArray[np.float64]
) -> tuple[dict[OodMethod, list[_Scores]], list[npt.NDArray[np.float32]]]:
    """Return by method the scores by each network of seed 0 that a corpus is held out from, and its logits of noise."""
    augmented, emotions, learned = _Augmented.of(pool), np.maximum(pool.emotions, 0), pool.learned(run.targets)
    by_method: dict[OodMethod, list[_Scores]] = {method: [] for method in METHODS}
    hour_logits = []
    for at, one in enumerate(track(corpus_networks([0], pool.corpora), "like speech, or not")):
        if one.corpus in run.targets.only_measured:
            continue
        network = with_logit_bias(load_network(run.output, one, run.config.variant), bias)
        known = predict_recordings(network, pool, _some(np.flatnonzero(learned & (pool.corpus != at))))
        own = np.flatnonzero(pool.corpus == at)
        parts = (predict_recordings(network, augmented, own), predict_recordings(network, pool, own))
        sounds = [infer(network, [noise.frames for noise in noises]) for noises in (hours.hour, hours.others)]
        hour_logits.append(sounds[0][0])
        streams = windows.where(pool.corpus[windows.owner] == at)
        pairs = [(part.logits, part.embeddings) for part in (*parts, streams)] + sounds
        for method in METHODS:
            scorer = fit_scorer(method, known, emotions, 0.0, 0.0)
            by_method[method].append(_Scores(*(scorer.scores(*pair) for pair in pairs)))
    return by_method, hour_logits


def _some(index: Classes) -> Classes:
    return np.sort(np.random.default_rng(0).permutation(index)[:_LEARNED])


def _mean_area(rows: Sequence[_Scores]) -> float:
    return float(np.mean([auroc(row.augmented, row.others) for row in rows if len(row.others)] or [0.5]))


def count_labelled_by(
    network: ResLstmSa, parameters: OodParameters, hours: NoiseHours, calibration: StrangerCalibration
) -> int:
    """Return how many sounds of the hour a network labels."""
    logits, embeddings = infer(network, [one.frames for one in hours.hour])
    unlike = OodScorer(parameters).scores(logits, embeddings) > parameters.limit
    return _count_labelled(hours.hour, logits, unlike, calibration)


def _count_labelled(
    sounds: Sequence[FalseAlarm],
    logits: npt.NDArray[np.float32],
    unlike: npt.NDArray[np.bool_],
    calibration: StrangerCalibration,
) -> int:
    voiced = np.array([one.voiced for one in sounds], dtype=np.int64)
    confidence = posterior(logits, calibration.temperature.after(voiced)).max(axis=1, initial=0)
    long = voiced >= to_samples(DecisionConfig().min_voiced_ms)
    return int(np.sum(long & ~unlike & (confidence >= calibration.unknown_below)))


def seconds(sounds: Sequence[FalseAlarm]) -> float:
    """Duration of what passes the gate, in seconds."""
    return sum(one.samples for one in sounds) / SAMPLE_RATE
