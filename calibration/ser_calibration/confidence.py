"""`ser-calibrate confidence`: temperatures from validation actors, and how honest they make a run's confidence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ser_calibration.reliability import summary
from ser_calibration.scaling import compare
from ser_model.config import DecisionConfig
from ser_model.training.dataset import build
from ser_model.training.fitted import FITTED, PRECISION, WINDOW_MS
from ser_model.training.jobs import FOLDS
from ser_model.training.judged import Judged, out_of_fold, strangers
from ser_model.training.run_folder import RunFolder, write_json
from ser_model.training.scores import fit_temperature, posterior, unknown_threshold

TARGETS: Final = {"ece": 0.05, "half": 0.80}
"""Calibration error to stay below, and accuracy to reach on the more confident half."""

Folds = Sequence[Judged]


def confidence(folder: Path, data: Path, *, seeds: int | None = None, workers: int | None = None) -> None:
    """Print how honest a run's confidence is before and after; write RUN/confidence.json, which export reads.

    Args:
        folder: output of `ser-model train`.
        data: the run's recordings.
        seeds: measure only the first so many; None: all.
        workers: processes for the gate; None: one per core.

    Raises:
        SerError: a folder isn't what is expected.
    """
    run = RunFolder.open(folder, seeds)
    dataset = build(
        run.corpus(data), variants=0, noise=None, rooms=None, cache=folder.parent / "cache", workers=workers
    )
    kinds: dict[str, int | None] = {"utterance": None, "window": WINDOW_MS, "live_window": DecisionConfig().window_ms}
    measured: dict[str, dict[str, Any]] = {}
    for kind, window_ms in track(kinds.items(), "answers"):
        validation, test = (
            [out_of_fold(run, dataset, seed, split, window_ms) for seed in run.seeds] for split in SPLITS
        )
        # The live path's longer windows go through the temperature of those it was fitted on.
        source = measured["window"]["_validation"] if kind == "live_window" else validation
        measured[kind] = measure(run, source, test) | {"_validation": validation, "window_ms": window_ms}
    fitted = fit(run, measured["utterance"]["_validation"], measured["window"]["_validation"])
    for row in measured.values():
        del row["_validation"]
    result = {"seeds": list(run.seeds), "recordings": len(run.names), "fitted": fitted, "measured": measured}
    write_json(folder / FITTED, result)
    _print(result)


SPLITS: Final = ("validation", "test")


def fit(run: RunFolder, whole: Sequence[Folds], windows: Sequence[Folds]) -> dict[str, Any]:
    """What the exported model gets: from all validation actors of all seeds.

    Args:
        run: whose answers they are.
        whole: for each seed and fold the answers for validation actors' utterances.
        windows: the same for windows.
    """
    utterances, pieces = (Judged.join([fold for seed in part for fold in seed]) for part in (whole, windows))
    truth = run.emotions[utterances.owner]
    temperature = fit_temperature(utterances.logits, truth)
    return {
        "temperature": temperature,
        "window_temperature": fit_temperature(pieces.logits, run.emotions[pieces.owner]),
        "window_ms": WINDOW_MS,
        "precision": PRECISION,
        "unknown_below": unknown_threshold(posterior(utterances.logits, temperature), truth, PRECISION),
    }


def measure(run: RunFolder, validation: Sequence[Folds], test: Sequence[Folds]) -> dict[str, Any]:
    """Figures on test actors with temperatures that they had no part in, and without any.

    Args:
        run: whose answers they are.
        validation: for each seed and fold the answers for validation actors.
        test: the same for test actors.
    """
    known = Judged.join([fold for seed in validation for fold in seed])
    temperatures = []
    for fold in FOLDS:
        others = strangers(run, known, fold)
        temperatures.append(fit_temperature(others.logits, run.emotions[others.owner]))
    truth = [np.concatenate([run.emotions[fold.owner] for fold in seed]) for seed in test]
    before = [np.concatenate([posterior(fold.logits) for fold in seed]) for seed in test]
    after = [
        np.concatenate([posterior(fold.logits, value) for fold, value in zip(seed, temperatures, strict=True)])
        for seed in test
    ]
    return {
        "temperatures": temperatures,
        "before": summary(before, truth),
        "after": summary(after, truth),
        "methods": compare(known.logits, run.emotions[known.owner], run.actors[known.owner]),
    }


def _print(result: dict[str, Any]) -> None:
    console = Console()
    measured = result["measured"]
    said = {
        "utterance": "utterances",
        "window": f"{measured['window']['window_ms'] / 1000:g} s windows",
        "live_window": f"windows of {measured['live_window']['window_ms'] / 1000:g} s (as partials)",
    }
    table = Table(title=f"Confidence on test actors, {len(result['seeds'])} seed(s); temperatures by validation actors")
    table.add_column("")
    for title in ("answers", "accuracy", "ECE", "by chance alone", "Brier", "NLL", "right, surer half"):
        table.add_column(title, justify="right")
    for kind, row in measured.items():
        table.add_section()
        for when in ("before", "after"):
            table.add_row(f"{said[kind]}, {when}", *_cells(row[when]))
    console.print(table)
    _print_curves(console, measured, said)
    for kind in ("utterance", "window"):
        methods = measured[kind]["methods"]
        texts = [
            f"{name} {row['nll']:.4f} (gain {row['gain']:+.4f} ± {row['error']:.4f})" for name, row in methods.items()
        ]
        console.print(f"Loss on validation actors left out in turn, {said[kind]}: {'; '.join(texts)}.", highlight=False)
    fitted = result["fitted"]
    console.print(
        f"For the model: temperature {fitted['temperature']:.3f}, for windows {fitted['window_temperature']:.3f}; "
        f"unknown below {fitted['unknown_below']:.3f} (precision {fitted['precision']:.2f} on validation actors).",
        highlight=False,
    )
    for kind in ("utterance", "window"):
        row = measured[kind]["after"]
        half = row["risk_coverage"][4]["accuracy"]
        console.print(
            f"{said[kind]}: ECE {row['ece']:.3f}, {_met(row['ece'] <= TARGETS['ece'])} {TARGETS['ece']}; "
            f"surer half {half:.3f}, {_met(half >= TARGETS['half'])} {TARGETS['half']}",
            highlight=False,
        )


def _met(reached: bool) -> str:
    return "within" if reached else "MISSES"


def _cells(row: dict[str, Any]) -> list[str]:
    figures = [row[name] for name in ("accuracy", "ece", "ece_by_chance", "brier", "nll")]
    return [str(row["answers"]), *(f"{value:.4f}" for value in figures), f"{row['risk_coverage'][4]['accuracy']:.4f}"]


def _print_curves(console: Console, measured: dict[str, Any], said: dict[str, str]) -> None:
    """Accuracy against coverage, and the bins of the reliability diagram."""
    curve = Table(title="Accuracy on the most confident share")
    curve.add_column("share")
    for point in measured["utterance"]["after"]["risk_coverage"]:
        curve.add_column(f"{point['coverage']:.0%}", justify="right")
    for kind in ("utterance", "window"):
        points = measured[kind]["after"]["risk_coverage"]
        curve.add_row(said[kind], *(f"{point['accuracy']:.3f}" for point in points))
    console.print(curve)
    bins = Table(title="Reliability: confidence → accuracy in bins of equal numbers, all seeds")
    bins.add_column("bin")
    for kind in ("utterance", "window"):
        for when in ("before", "after"):
            bins.add_column(f"{said[kind]}, {when}", justify="right")
    columns = [measured[kind][when]["reliability"] for kind in ("utterance", "window") for when in ("before", "after")]
    for number, rows in enumerate(zip(*columns, strict=True), 1):
        bins.add_row(str(number), *(f"{row['confidence']:.3f} → {row['accuracy']:.3f}" for row in rows))
    console.print(bins)
