"""`ser-model train` and `ser-model export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ser_model.network.model_files import ModelFiles, checksum_file
from ser_model.network.verification import write_checksums
from ser_model.training.calibration import (
    Calibration,
    read_calibration,
    read_class_mean_logits,
    read_cross_corpus_calibration,
)
from ser_model.training.corpora.corpora_run import is_corpora_run, reopen_run
from ser_model.training.corpora.held_out import HeldOut, load_network
from ser_model.training.data.augment import check_folders
from ser_model.training.data.corpus import load_corpus
from ser_model.training.data.dataset import build
from ser_model.training.folds.crossval import open_run, run
from ser_model.training.folds.evaluate import evaluate
from ser_model.training.folds.jobs import FINAL, list_jobs
from ser_model.training.folds.run_folder import final_digest, write_recordings
from ser_model.training.folds.run_results import RunResults, calibrate, open_results
from ser_model.training.networks.architecture import ResLstmSa, with_logit_bias
from ser_model.training.networks.export import export
from ser_model.training.networks.fit_config import Device, FitConfig

TRAINING_DATA = "RAVDESS speech, 1440 recordings of 24 actors (Livingstone & Russo 2018, 10.1371/journal.pone.0196391)"
LICENCE = "CC BY-NC-SA 4.0"
"""Licence of the weights: they inherit the non-commercial, share-alike terms of RAVDESS."""


def train(
    data: Path,
    output: Path,
    *,
    variant: str,
    seeds: int,
    epochs: int | None,
    variants: int,
    noise: Path | None,
    rooms: Path | None,
    final: bool,
    allow_missing: bool,
    workers: int | None,
    device: Device,
) -> None:
    """Train the networks of a run that are missing, and evaluate it.

    Args:
        data: the RAVDESS folder.
        output: the folder of the run.
        variant: size of the networks.
        seeds: number of seeds.
        epochs: length of the training; `None`: that of the recipe.
        variants: number of augmented versions of each recording.
        noise: folder of noises; `None`: generated ones only.
        rooms: folder of room responses; `None`: none.
        final: train only the final network, on all actors.
        allow_missing: accept an incomplete corpus.
        workers: number of processes; `None`: one per core.
        device: `cpu` or `cuda`.

    Raises:
        SerError: A folder or the device is not what is expected.
    """
    corpus = load_corpus(data, allow_missing=allow_missing)
    config = FitConfig(variant=variant, epochs=epochs or FitConfig().epochs)
    check_folders(noise, rooms)
    open_run(output, _settings(config, variants, noise, rooms))
    dataset = build(corpus, variants=variants, noise=noise, rooms=rooms, cache=output.parent / "cache", workers=workers)
    write_recordings(output, corpus)
    run(dataset, config, [FINAL] if final else list_jobs(range(seeds)), output, workers, device)
    if not final:
        evaluate(output)


def _settings(config: FitConfig, variants: int, noise: Path | None, rooms: Path | None) -> dict[str, Any]:
    """Return the content of settings.json."""
    return {
        "fit": {name: getattr(config, name) for name in config.__slots__},
        "variants": variants,
        "noise": noise is not None,
        "rooms": rooms is not None,
    }


def export_run(folder: Path, stem: Path | None, training_data: str | None = None, licence: str | None = None) -> None:
    """Export the final network of a run.

    Args:
        folder: the folder of the run.
        stem: path of the model without the suffixes; `None`: RUN/reslstm-sa-VARIANT. What follows the variant in the
            name becomes part of it.
        training_data: what the network learned from; `None`: the names of the corpora.
        licence: licence of the weights; `None`: for RAVDESS alone its licence, else that it is not stated.

    Raises:
        SerError: The run has no final network, or a file is damaged.
    """
    if is_corpora_run(folder):
        trained = _trained_on_corpora(folder)
        training_data = training_data or ", ".join(name for name, _ in reopen_run(folder).folders)
        licence = licence or "not stated; it depends on the corpora"
    else:
        trained = _trained_on_ravdess(folder)
    calibration = trained.calibration
    stem = stem or folder / f"reslstm-sa-{trained.variant}"
    special = stem.name.removeprefix(f"reslstm-sa-{trained.variant}-")
    paths = export(
        trained.network,
        stem,
        variant=trained.variant if special == stem.name else f"{trained.variant}-{special}",
        temperature=calibration.temperature,
        short_temperature=calibration.short_temperature,
        calibrated=trained.calibrated,
        unknown_below=calibration.unknown_below,
        unlike_speech=calibration.ood,
        typical_logits=calibration.class_mean_logits,
        activation=calibration.activation,
        training_data=training_data or TRAINING_DATA,
        licence=licence or LICENCE,
    )
    _print_export(paths, calibration)
    if not trained.calibrated or None in (calibration.ood, calibration.class_mean_logits):
        print(f"to have what is missing measured: {trained.command}; then export again")


class _Trained(NamedTuple):
    """The final network of a run, and what belongs to it."""

    network: ResLstmSa
    variant: str
    calibration: Calibration
    calibrated: bool
    command: str
    """What measures the rest."""


def _trained_on_corpora(folder: Path) -> _Trained:
    variant = reopen_run(folder).config.variant
    network = load_network(folder, HeldOut(0), variant)
    measured = read_cross_corpus_calibration(folder)
    calibration = measured or Calibration(1.0, 1.0, 0.0, None, None)
    if calibration.logit_bias:
        network = with_logit_bias(network, np.array(calibration.logit_bias))
    return _Trained(network, variant, calibration, measured is not None, "ser-calibrate cross-corpus")


def _trained_on_ravdess(folder: Path) -> _Trained:
    results = open_results(folder)
    network = results.folder.network(FINAL.seed, FINAL.fold, FINAL.split)
    measured = read_calibration(folder, final_digest(folder))
    calibration = measured or _fit_utterances(results)
    command = "ser-calibrate confidence, unknown and adaptation"
    return _Trained(network, results.folder.variant, calibration, measured is not None, command)


def _print_export(paths: ModelFiles, calibration: Calibration) -> None:
    checksums = checksum_file(paths.window)
    write_checksums(paths, checksums)
    for path in (*paths, checksums):
        print(f"{path}  {path.stat().st_size} bytes")
    unlike = "not known" if calibration.ood is None else f"by {calibration.ood.method}"
    print(
        f"temperature {calibration.temperature:.3f}, after little speech {calibration.short_temperature:.3f}; "
        f"unknown below {calibration.unknown_below:.3f}; unlike speech: {unlike}; "
        f"adaptation: {'not possible' if calibration.class_mean_logits is None else 'possible'}"
    )


def _fit_utterances(run: RunResults) -> Calibration:
    """Fit temperature and threshold on whole utterances; short speech gets the same temperature."""
    index, logits = (np.concatenate([getattr(one, name) for one in run.validation]) for name in ("index", "logits"))
    temperature, threshold = (round(value, 4) for value in calibrate(run, index, logits))
    return Calibration(temperature, temperature, threshold, None, read_class_mean_logits(run.folder.path))
