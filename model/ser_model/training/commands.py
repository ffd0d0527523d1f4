"""What `ser-model train`, `evaluate` and `export` do."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ser_model.errors import SerError
from ser_model.labels import LABELS
from ser_model.training.augment import check_folder
from ser_model.training.corpus import NEVER_VALIDATING, find_recordings, load_corpus
from ser_model.training.crossval import Predictions, answer_again, open_run, pooled, run
from ser_model.training.dataset import build
from ser_model.training.fit import FitConfig
from ser_model.training.fitted import PRECISION, Fitted, read_fitted, read_typical
from ser_model.training.jobs import FINAL, FOLDS, SPLITS, Job
from ser_model.training.run_folder import write_json
from ser_model.training.scores import (
    Classes,
    Logits,
    confusion,
    fit_temperature,
    posterior,
    uar,
    unknown_threshold,
)

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


def gate_again(folder: Path, data: Path) -> None:
    """Answer anew for the clean recordings as today's gate cuts them, with the networks of the run."""
    names, _, _ = _recordings(folder)
    corpus = find_recordings(data)
    if [recording.name for recording in corpus.recordings] != names:
        raise SerError(f"{data}: expected the {len(names)} recordings that {folder} was trained on, found others")
    dataset = build(corpus, variants=0, noise=None, rooms=None, cache=folder.parent / "cache")
    variant = json.loads((folder / "settings.json").read_text())["fit"]["variant"]
    jobs = [Job(seed, fold, split) for seed in _seeds(folder) for split in SPLITS for fold in FOLDS]
    answer_again(dataset, variant, jobs, folder)


def evaluate(folder: Path) -> None:
    """Print a run's figures, seed by seed, and write them as JSON."""
    names, truth, actors = _recordings(folder)
    never = np.isin(actors, list(NEVER_VALIDATING))
    seeds = _seeds(folder)
    rows, tables = [], []
    for seed in seeds:
        test = pooled(folder, seed, "test")
        predicted = test.classes(len(truth))
        validation = pooled(folder, seed, "validation")
        rows.append(
            {
                "seed": seed,
                "uar": uar(truth, predicted),
                "uar_14_actors": uar(truth[never], predicted[never]),
                "uar_validation": uar(truth[validation.index], validation.logits.argmax(axis=1)),
                **_selective(truth, test, validation),
            }
        )
        tables.append(confusion(truth, predicted))
    missed = len(names) - len(pooled(folder, seeds[0], "test").index)
    summary = {
        name: {"mean": float(np.mean(values)), "std": float(np.std(values)), "max": float(np.max(values))}
        for name in list(rows[0])[1:]
        for values in [[row[name] for row in rows]]
    }
    result = {
        "recordings": len(names),
        "missed_or_split": missed,
        "seeds": rows,
        "summary": summary,
        "confusion": {"labels": [*LABELS, "missed"], "counts": np.sum(tables, axis=0).tolist()},
    }
    write_json(folder / "evaluation.json", result)
    _print(result)


def _selective(truth: Classes, test: Predictions, validation: Predictions) -> dict[str, float]:
    """Coverage and precision on the test actors of the threshold that validation actors chose."""
    temperature, threshold = _calibrate(validation.logits, truth[validation.index])
    probabilities = posterior(test.logits, temperature)
    given = probabilities.max(axis=1) >= threshold
    right = probabilities.argmax(axis=1) == truth[test.index]
    return {"coverage": float(np.sum(given) / len(truth)), "precision": float(np.mean(right[given]))}


def _calibrate(logits: Logits, truth: Classes) -> tuple[float, float]:
    """Temperature, and the threshold of `unknown` at that temperature."""
    temperature = fit_temperature(logits, truth)
    return temperature, unknown_threshold(posterior(logits, temperature), truth, PRECISION)


def _print(result: dict[str, Any]) -> None:
    table = Table(title="UAR, pooled out-of-fold, gated whole utterances")
    columns = {
        "uar": "24 actors",
        "uar_14_actors": "14 that never validate",
        "uar_validation": "validation",
        "coverage": "labelled",
        "precision": "right of those",
    }
    table.add_column("seed")
    for title in columns.values():
        table.add_column(title, justify="right")
    for row in result["seeds"]:
        table.add_row(str(row["seed"]), *(f"{row[name]:.4f}" for name in columns))
    table.add_section()
    for statistic in ("mean", "std", "max"):
        table.add_row(statistic, *(f"{result['summary'][name][statistic]:.4f}" for name in columns))
    console = Console()
    console.print(table)
    console.print(
        f"{result['missed_or_split']} of {result['recordings']} recordings missed or split by the gate: errors"
    )
    matrix = Table(title="confusion, share of each true emotion, all seeds")
    for title in ("", *result["confusion"]["labels"]):
        matrix.add_column(title[:9], justify="right")
    for label, counts in zip(LABELS, result["confusion"]["counts"], strict=True):
        matrix.add_row(label, *(f"{count / max(sum(counts), 1):.2f}" for count in counts))
    console.print(matrix)


def export_run(folder: Path, stem: Path | None) -> None:
    """Export the final network of a run."""
    import torch

    from ser_model.training.architecture import VARIANTS, ResLstmSa
    from ser_model.training.export import export
    from ser_model.verify import write_sums

    _, truth, _ = _recordings(folder)
    settings = json.loads((folder / "settings.json").read_text())
    variant = settings["fit"]["variant"]
    weights = folder / f"{FINAL.name}.pt"
    if not weights.exists():
        raise SerError(f"{weights} is missing: run `ser-model train --final` with the same --output first")
    found = read_fitted(folder)
    fitted = found or _fit_utterances(folder, truth)
    network = ResLstmSa(VARIANTS[variant])
    network.load_state_dict(torch.load(weights, weights_only=True))
    paths = export(
        network,
        stem or folder / f"reslstm-sa-{variant}",
        variant=variant,
        temperature=fitted.temperature,
        window_temperature=fitted.window_temperature,
        calibrated=found is not None,
        unknown_below=fitted.unknown_below,
        unlike_speech=fitted.unlike_speech,
        typical_logits=fitted.typical_logits,
        training_data=TRAINING_DATA,
        licence=LICENCE,
    )
    sums = paths[0].with_name(f"{paths[0].name.removesuffix('.window.onnx')}.sha256")
    write_sums(paths, sums)
    for path in (*paths, sums):
        print(f"{path}  {path.stat().st_size} bytes")
    unlike = "not known" if fitted.unlike_speech is None else f"by {fitted.unlike_speech.method}"
    print(
        f"temperature {fitted.temperature:.3f}, of windows {fitted.window_temperature:.3f}; "
        f"unknown below {fitted.unknown_below:.3f}; unlike speech: {unlike}; "
        f"adaptation: {'not possible' if fitted.typical_logits is None else 'possible'}"
    )
    if found is None or found.unlike_speech is None or found.typical_logits is None:
        print("to have what is missing measured: ser-calibrate confidence, unknown and adaptation; then export again")


def _fit_utterances(folder: Path, truth: Classes) -> Fitted:
    """Temperature and threshold of whole utterances, for all; nothing is known about windows."""
    validations = [pooled(folder, seed, "validation") for seed in _seeds(folder)]
    logits = np.concatenate([validation.logits for validation in validations])
    index = np.concatenate([validation.index for validation in validations])
    temperature, threshold = _calibrate(logits, truth[index])
    return Fitted(round(temperature, 4), round(temperature, 4), round(threshold, 4), None, read_typical(folder))


def _seeds(folder: Path) -> list[int]:
    """Seeds whose networks are all trained."""
    found = range(len(list(folder.glob("seed*-fold0-validation.npz"))))
    jobs = [(fold, split) for fold in FOLDS for split in SPLITS]
    whole = [seed for seed in found if all((folder / f"{Job(seed, *job).name}.npz").exists() for job in jobs)]
    if not whole:
        raise SerError(f"{folder}: no seed has all five folds; run `ser-model train --output {folder}` first")
    return whole


def _recordings(folder: Path) -> tuple[list[str], Classes, Classes]:
    """Names, emotions and actors of the run's recordings."""
    path = folder / "recordings.json"
    if not path.exists():
        raise SerError(f"{folder}: expected the --output folder of `ser-model train`, found no {path.name} in it")
    rows = json.loads(path.read_text())
    return [row[0] for row in rows], np.array([row[1] for row in rows]), np.array([row[2] for row in rows])
