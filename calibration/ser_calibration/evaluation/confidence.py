"""`ser-calibrate confidence`: temperatures from validation actors, and how honest they make a run's confidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ser_calibration.evaluation.calibration_methods import compare
from ser_calibration.evaluation.metrics import summary
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
    MethodFigures,
    VoicedConfidence,
    write_confidence,
)
from ser_model.training.folds.jobs import FOLDS
from ser_model.training.folds.predictions import Predictions, out_of_fold
from ser_model.training.folds.run_folder import RunFolder
from ser_model.training.scores import posterior, unknown_threshold
from ser_model.types import SAMPLE_RATE

TARGETS: Final = {"ece": 0.05, "half": 0.80}
"""Calibration error to stay below, and accuracy to reach on the more confident half."""

FITTED_ON: Final = ("utterance", "window")
"""Kinds of answers that the temperatures are fitted on."""
VOICED_SECONDS: Final = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
"""Between these the answers are counted together by how much of their utterance was voiced so far."""

Scores = npt.NDArray[np.float64]


def measure_confidence(source: RunSource) -> None:
    """Print a run's calibration before and after; write RUN/confidence.json, which export reads.

    Raises:
        SerError: a folder isn't what is expected.
    """
    run, _, dataset = source.load()
    window = WINDOW_MS
    lengths = {"utterance": None, "window": window, "full_window": window, "live_window": DecisionConfig().window_ms}
    validation, test = (
        {
            kind: [out_of_fold(run, dataset, seed, split, lengths[kind], kind == "full_window") for seed in run.seeds]
            for kind in track(kinds, f"answers for {split} actors")
        }
        for split, kinds in (("validation", FITTED_ON), ("test", tuple(lengths)))
    )
    made = fit_folds(run, [validation[kind] for kind in FITTED_ON])
    measured = {kind: measure(run, made, test[kind]) for kind in lengths}
    for kind, length in lengths.items():
        measured[kind]["window_ms"] = length
    for kind in FITTED_ON:
        measured[kind]["methods"] = compare_methods(run, validation[kind])
    result: ConfidenceFile = {
        "seeds": list(run.seeds),
        "recordings": len(run.names),
        "fitted": fit_model(run, made[-1], validation["utterance"]),
        "measured": measured,
        "heard": by_voiced(run, made, [test[kind] for kind in FITTED_ON]),
    }
    write_confidence(source.folder, result)
    show(result)


def fit_model(run: RunFolder, made: Temperature, whole: Sequence[Folds]) -> FittedConfidence:
    """What the exported model gets: temperatures of all validation actors, and the threshold at them.

    Args:
        run: whose answers they are.
        made: the temperatures.
        whole: for each seed and fold the answers for validation actors' utterances.
    """
    utterances = Predictions.join([fold for seed in whole for fold in seed])
    scores = posterior(utterances.logits, made.after(utterances.voiced))
    return {
        "temperature": made.long,
        "short_temperature": made.short,
        "window_ms": WINDOW_MS,
        "precision": PRECISION,
        "unknown_below": unknown_threshold(
            scores, run.emotions[utterances.owner], run.actors[utterances.owner], PRECISION
        ),
    }


def measure(run: RunFolder, made: Sequence[Temperature], test: Sequence[Folds]) -> MeasuredConfidence:
    """Figures on test actors with temperatures that they had no part in, and without any.

    Args:
        run: whose answers they are.
        made: for each fold its temperatures.
        test: for each seed and fold the answers for test actors.
    """
    truth = [np.concatenate([run.emotions[fold.owner] for fold in seed]) for seed in test]
    before = [np.concatenate([posterior(fold.logits) for fold in seed]) for seed in test]
    after = [np.concatenate(_calibrated(made, seed)) for seed in test]
    return {
        "temperatures": [[one.short, one.long] for one in made[: len(FOLDS)]],
        "before": summary(before, truth),
        "after": summary(after, truth),
    }


def _calibrated(made: Sequence[Temperature], folds: Folds) -> list[Scores]:
    pairs = zip(folds, made, strict=False)
    return [posterior(fold.logits, temperature.after(fold.voiced)) for fold, temperature in pairs]


def compare_methods(run: RunFolder, validation: Sequence[Folds]) -> dict[str, MethodFigures]:
    """What more than one temperature would gain, on validation actors left out in turn."""
    known = Predictions.join([fold for seed in validation for fold in seed])
    return compare(known.logits, run.emotions[known.owner], run.actors[known.owner])


def by_voiced(run: RunFolder, made: Sequence[Temperature], kinds: Sequence[Sequence[Folds]]) -> list[VoicedConfidence]:
    """Mean confidence and accuracy by how much speech was heard, before and after, over all answers for test actors.

    Args:
        run: whose answers they are.
        made: for each fold its temperatures.
        kinds: for each kind, seed and fold the answers.
    """
    seeds = [seed for kind in kinds for seed in kind]
    everything = Predictions.join([fold for seed in seeds for fold in seed])
    after = np.concatenate([part for seed in seeds for part in _calibrated(made, seed)]).max(axis=1)
    before = posterior(everything.logits).max(axis=1)
    right = everything.logits.argmax(axis=1) == run.emotions[everything.owner]
    bins = np.digitize(everything.voiced / SAMPLE_RATE, VOICED_SECONDS)
    rows: list[VoicedConfidence] = []
    for number, up_to in enumerate((*VOICED_SECONDS, None)):
        own = bins == number
        if own.any():
            accuracy, sure_before, sure_after = (float(values[own].mean()) for values in (right, before, after))
            rows.append({"up_to_seconds": up_to, "accuracy": accuracy, "before": sure_before, "after": sure_after})
    return rows


def show(result: Mapping[str, Any]) -> None:
    """Print the figures, each beside what it must reach."""
    console = Console()
    measured = result["measured"]
    said = {
        "utterance": "utterances",
        "window": f"{measured['window']['window_ms'] / 1000:g} s windows",
        "full_window": f"full {measured['window']['window_ms'] / 1000:g} s windows",
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
    _print_heard(console, result["heard"])
    for kind in ("utterance", "window"):
        methods = measured[kind]["methods"]
        texts = [
            f"{name} {row['nll']:.4f} (gain {row['gain']:+.4f} ± {row['error']:.4f})" for name, row in methods.items()
        ]
        console.print(f"Loss on validation actors left out in turn, {said[kind]}: {'; '.join(texts)}.", highlight=False)
    fitted = result["fitted"]
    console.print(
        f"For the model: temperature {fitted['temperature']:.3f}, after little speech "
        f"{fitted['short_temperature']:.3f}; "
        f"unknown below {fitted['unknown_below']:.3f} (precision {fitted['precision']:.2f} on validation actors).",
        highlight=False,
    )
    for kind in ("utterance", "window", "full_window"):
        row = measured[kind]["after"]
        half = row["risk_coverage"][4]["accuracy"]
        console.print(
            f"{said[kind]}: ECE {row['ece']:.3f}, {_met(row['ece'] <= TARGETS['ece'])} {TARGETS['ece']}; "
            f"surer half {half:.3f}, {_met(half >= TARGETS['half'])} {TARGETS['half']}",
            highlight=False,
        )


def _met(reached: bool) -> str:
    return "within" if reached else "MISSES"


def _cells(row: Mapping[str, Any]) -> list[str]:
    figures = [row[name] for name in ("accuracy", "ece", "ece_by_chance", "brier", "nll")]
    return [str(row["answers"]), *(f"{value:.4f}" for value in figures), f"{row['risk_coverage'][4]['accuracy']:.4f}"]


def _print_curves(console: Console, measured: Mapping[str, Any], said: dict[str, str]) -> None:
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


def _print_heard(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """Whether confidence is honest after a word as after a sentence."""
    table = Table(title="By how much of the utterance was voiced: accuracy, and mean confidence before and after")
    for title in ("voiced", "accuracy", "before", "after"):
        table.add_column(title, justify="right")
    for row in rows:
        heard = "more" if row["up_to_seconds"] is None else f"up to {row['up_to_seconds']:g} s"
        table.add_row(heard, *(f"{row[name]:.3f}" for name in ("accuracy", "before", "after")))
    console.print(table)
