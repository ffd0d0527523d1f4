"""`ser-calibrate unknown`: fit when an answer is `unknown`, and measure it on speech and on noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from rich.progress import Progress, track

from ser_calibration.evaluation import ood
from ser_calibration.evaluation.gate_evaluation import FalseAlarm, find_false_alarms, segment_recordings
from ser_calibration.evaluation.noise_stream import SECONDS, NoiseClip, noise_clips
from ser_calibration.evaluation.ood import FoldScores, fit_final_parameters, score_fold
from ser_calibration.evaluation.run_data import RunSource
from ser_calibration.evaluation.selective_classification import (
    UnknownRule,
    fit_rules,
    measure_seed,
    ood_rejection_rate,
)
from ser_calibration.evaluation.unknown_report import NOISY, SNR_DB, print_unknown
from ser_model.scoring.ood import METHODS, OodMethod, OodScorer
from ser_model.training.calibration_files import (
    PRECISION,
    WINDOW_MS,
    FinalFigures,
    GateFigures,
    NetworkFigures,
    UnknownFile,
    write_unknown,
)
from ser_model.training.data.acoustic_conditions import load_held_out
from ser_model.training.data.augment import AcousticEnvironment
from ser_model.training.data.dataset import Dataset
from ser_model.training.data.segmentation import Segmentation
from ser_model.training.folds.jobs import FINAL, FOLDS
from ser_model.training.folds.predictions import out_of_fold
from ser_model.training.folds.run_folder import RunFolder, final_digest
from ser_model.training.networks.inference import infer
from ser_model.types import SAMPLE_RATE

OTHER_HOURS: Final = (1, 2, 3)
"""Seeds of the hours whose noise chooses the method. The hour of seed 0 is only measured on."""


def measure_unknown(
    source: RunSource, noise: Path, rooms: Path | None, *, precision: float | None, seconds: int | None
) -> None:
    """Print all figures about `unknown`; write RUN/unknown.json, which export reads.

    Args:
        source: the run and its recordings.
        noise: folder of noises.
        rooms: folder of room responses; `None` uses none.
        precision: share of right labels that the threshold is chosen for; `None` uses `PRECISION`.
        seconds: length of the noise without speech; `None` uses `SECONDS`.

    Raises:
        SerError: a folder isn't what is expected.
    """
    precision, seconds = precision or PRECISION, seconds or SECONDS
    held_out = load_held_out(noise, None)
    run, corpus, dataset = source.load(variants=1, noise=noise, rooms=rooms)
    clean = segment_recordings(corpus, AcousticEnvironment(), None, source.workers)
    noisy = segment_recordings(corpus, held_out, SNR_DB, source.workers)
    hour, samples = find_false_alarms(track_clips(noise, seconds))
    result: UnknownFile = {
        "seeds": list(run.seeds),
        "precision": precision,
        **measure_networks(run, dataset, hour, _other_false_alarms(noise, seconds), precision),
        "gate": {"clean": gate_figures(clean), NOISY: gate_figures(noisy)},
        "hour": {
            "seconds": samples / SAMPLE_RATE,
            "open": sum(one.samples for one in hour) / samples,
            "utterances": [[one.name, round(1000 * one.voiced / SAMPLE_RATE)] for one in hour],
        },
    }
    write_unknown(source.folder, result)
    print_unknown(result)


def track_clips(noise: Path, seconds: int, seed: int = 0, every_kind: bool = False) -> Iterator[NoiseClip]:
    """Yield the clips of an hour without speech, with a progress bar."""
    with Progress() as bar:
        task = bar.add_task(f"noise without speech, seed {seed}", total=seconds * SAMPLE_RATE)
        for clip in noise_clips(noise, seconds, seed, every_kind):
            yield clip
            bar.advance(task, len(clip.samples))


def _other_false_alarms(noise: Path, seconds: int) -> list[FalseAlarm]:
    """Return the false alarms of other hours with every kind of noise."""
    hours = [track_clips(noise, seconds, seed, every_kind=True) for seed in OTHER_HOURS]
    return [one for clips in hours for one in find_false_alarms(clips)[0]]


def measure_networks(
    run: RunFolder,
    dataset: Dataset,
    hour: Sequence[FalseAlarm],
    others: Sequence[FalseAlarm],
    precision: float,
) -> NetworkFigures:
    """Choose the OOD method by other hours, and measure what is labelled of clean speech and of the hour.

    Args:
        run: whose networks are used.
        dataset: with one augmented variant of each recording.
        hour: false alarms that are measured on.
        others: false alarms that choose the method.
        precision: share of right labels that the threshold is chosen for.
    """
    frames = [one.frames for one in (*hour, *others)]
    scores: dict[OodMethod, list[FoldScores]] = {method: [] for method in METHODS}
    for seed in track(run.seeds, "like speech, or not"):
        for fold in FOLDS:
            for method, one in score_fold(run, dataset, seed, fold, frames).items():
                scores[method].append(one)
    areas = ood.compare_methods(scores, slice(len(hour), None)) if others else {}
    method = max(areas, key=lambda name: areas[name]["auroc"]) if areas else METHODS[0]
    whole, windows = (
        [out_of_fold(run, dataset, seed, "validation", length) for seed in run.seeds] for length in (None, WINDOW_MS)
    )
    rules = fit_rules(run, whole, windows, scores[method], precision)
    figures = []
    for number, seed in enumerate(track(run.seeds, "answers")):
        own = scores[method][number * len(FOLDS) : (number + 1) * len(FOLDS)]
        figures.append(measure_seed(run, out_of_fold(run, dataset, seed, "test"), own, rules, hour, others))
    return {
        "method": method,
        "kept": ood.KEPT_SHARE,
        "varied_rejected": ood_rejection_rate(scores[method], rules),
        "noises": len(others),
        "auroc": areas,
        "clean": figures,
        "final": final_figures(run, dataset, method, scores[method], rules[-1], hour),
    }


def final_figures(
    run: RunFolder,
    dataset: Dataset,
    method: OodMethod,
    scores: Sequence[FoldScores],
    rule: UnknownRule,
    hour: Sequence[FalseAlarm],
) -> FinalFigures | None:
    """Return the values for the exported model, and how many false alarms it labels; `None` if it is not trained."""
    digest = final_digest(run.path)
    if digest is None:
        return None
    network = run.network(FINAL.seed, FINAL.fold, FINAL.split)
    parameters = fit_final_parameters(network, run, dataset, method, scores)
    logits, embeddings = infer(network, [one.frames for one in hour])
    labelled = rule.labelled(
        logits, OodScorer(parameters).scores(logits, embeddings), np.array([one.voiced for one in hour])
    )
    return {"sha256": digest, "labelled_in_hour": int(labelled.sum()), "unlike_speech": parameters.to_mapping()}


def gate_figures(found: Sequence[Segmentation]) -> GateFigures:
    """Return the shares of recordings that the gate finds, as one utterance or split, and with a false alarm beside."""
    utterances = np.array([one.utterances for one in found])
    return {
        "found": float(np.mean(utterances > 0)),
        "one": float(np.mean(utterances == 1)),
        "split": float(np.mean(utterances > 1)),
        "beside": float(np.mean([one.outside > 0 for one in found])),
    }
