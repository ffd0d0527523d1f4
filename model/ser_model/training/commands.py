"""What `ser-model train` and `export` do."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from ser_model.network.model_files import checksum_file
from ser_model.network.verification import write_checksums
from ser_model.training.calibration import Calibration, read_calibration, read_class_mean_logits
from ser_model.training.data.augment import check_folder
from ser_model.training.data.corpus import load_corpus
from ser_model.training.data.dataset import build
from ser_model.training.files import write_json
from ser_model.training.folds.crossval import open_run, run
from ser_model.training.folds.evaluate import evaluate
from ser_model.training.folds.jobs import FINAL, FOLDS, SPLITS, Job
from ser_model.training.folds.run_folder import final_digest
from ser_model.training.folds.run_results import RunResults, calibrate, open_results
from ser_model.training.networks.export import export
from ser_model.training.networks.fit import FitConfig

TRAINING_DATA = "RAVDESS speech, 1440 recordings of 24 actors (Livingstone & Russo 2018, 10.1371/journal.pone.0196391)"
LICENCE = "CC BY-NC-SA 4.0"
"""Of the weights: RAVDESS' terms are non-commercial and share-alike, and the weights inherit them."""


def train(arguments: argparse.Namespace) -> None:
    """Train what the command line asks for and is not there yet."""
    corpus = load_corpus(arguments.data, allow_missing=arguments.allow_missing)
    options = {"variant": arguments.variant}
    if arguments.epochs is not None:
        options["epochs"] = arguments.epochs
    config = FitConfig(**options)
    noise, rooms = arguments.noise, arguments.rooms
    for folder in (noise, rooms):
        check_folder(folder)
    settings = {
        "fit": {name: getattr(config, name) for name in config.__slots__},
        "variants": arguments.variants,
        "noise": noise is not None,
        "rooms": rooms is not None,
    }
    open_run(arguments.output, settings)
    dataset = build(
        corpus,
        variants=arguments.variants,
        noise=noise,
        rooms=rooms,
        cache=arguments.output.parent / "cache",
        workers=arguments.workers,
    )
    jobs = [Job(seed, fold, split) for seed in range(arguments.seeds) for split in SPLITS for fold in FOLDS]
    if arguments.final:
        jobs = [FINAL]
    write_json(
        arguments.output / "recordings.json",
        [[recording.name, recording.emotion, recording.actor] for recording in corpus.recordings],
    )
    run(dataset, config, jobs, arguments.output, arguments.workers, arguments.device)
    if not arguments.final:
        evaluate(arguments.output)


def export_run(folder: Path, stem: Path | None) -> None:
    """Export the final network of a run."""
    finished = open_results(folder)
    variant = finished.folder.variant
    network = finished.folder.network(FINAL.seed, FINAL.fold, FINAL.split)
    found = read_calibration(folder, final_digest(folder))
    fitted = found or _fit_utterances(finished)
    paths = export(
        network,
        stem or folder / f"reslstm-sa-{variant}",
        variant=variant,
        temperature=fitted.temperature,
        short_temperature=fitted.short_temperature,
        calibrated=found is not None,
        unknown_below=fitted.unknown_below,
        unlike_speech=fitted.ood,
        typical_logits=fitted.class_mean_logits,
        training_data=TRAINING_DATA,
        licence=LICENCE,
    )
    checksums = checksum_file(paths.window)
    write_checksums(paths, checksums)
    for path in (*paths, checksums):
        print(f"{path}  {path.stat().st_size} bytes")
    unlike = "not known" if fitted.ood is None else f"by {fitted.ood.method}"
    print(
        f"temperature {fitted.temperature:.3f}, after little speech {fitted.short_temperature:.3f}; "
        f"unknown below {fitted.unknown_below:.3f}; unlike speech: {unlike}; "
        f"adaptation: {'not possible' if fitted.class_mean_logits is None else 'possible'}"
    )
    if found is None or found.ood is None or found.class_mean_logits is None:
        print("to have what is missing measured: ser-calibrate confidence, unknown and adaptation; then export again")


def _fit_utterances(run: RunResults) -> Calibration:
    """Temperature and threshold of whole utterances, for all; nothing is known about short ones."""
    index, logits = (np.concatenate([getattr(one, name) for one in run.validation]) for name in ("index", "logits"))
    temperature, threshold = (round(value, 4) for value in calibrate(run, index, logits))
    return Calibration(temperature, temperature, threshold, None, read_class_mean_logits(run.folder.path))
