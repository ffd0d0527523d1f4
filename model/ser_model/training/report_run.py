"""What a finished run answered, and its headline figures."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ser_model.errors import SerError
from ser_model.training.architecture import VARIANTS
from ser_model.training.commands import PRECISION
from ser_model.training.corpus import NEVER_VALIDATING
from ser_model.training.crossval import FOLDS, SPLITS, Job, Predictions, pooled
from ser_model.training.scores import Classes, fit_temperature, posterior, uar, unknown_threshold


@dataclass(frozen=True, slots=True)
class Run:
    """What a finished run answered."""

    folder: Path
    variant: str
    names: list[str]
    truth: Classes
    """Shape (recordings,)."""
    actors: Classes
    """Shape (recordings,)."""
    seeds: list[int]
    """Those whose ten networks are all trained."""
    test: list[Predictions]
    """One for each seed, as `validation`."""
    validation: list[Predictions]

    @property
    def predicted(self) -> list[Classes]:
        """Of every seed the answers for all recordings, as `uar` takes them."""
        return [one.classes(len(self.truth)) for one in self.test]


def open_finished(folder: Path) -> Run:
    """Read a run.

    Raises:
        SerError: it isn't one, or no seed of it has all its networks.
    """
    if not (folder / "recordings.json").exists() or not (folder / "settings.json").exists():
        raise SerError(f"{folder}: expected the --output folder of `ser-model train`, found no finished run in it")
    jobs = [(fold, split) for fold in FOLDS for split in SPLITS]
    trained = [
        sum((folder / f"{Job(seed, *job).name}.npz").exists() for job in jobs)
        for seed in range(len(list(folder.glob("seed*-fold*.npz"))) or 1)
    ]
    seeds = [seed for seed, count in enumerate(trained) if count == len(jobs)]
    if not seeds:
        raise SerError(
            f"{folder}: is unfinished, {max(trained)} of the {len(jobs)} networks of a seed are trained; "
            "the same `ser-model train` command goes on"
        )
    try:
        rows = json.loads((folder / "recordings.json").read_text())
        variant = json.loads((folder / "settings.json").read_text())["fit"]["variant"]
        VARIANTS[variant]
        names, truth, actors = (
            [str(row[0]) for row in rows],
            [int(row[1]) for row in rows],
            [int(row[2]) for row in rows],
        )
        test, validation = ([pooled(folder, seed, split) for seed in seeds] for split in ("test", "validation"))
    except (ValueError, KeyError, IndexError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise SerError(f"{folder}: a file of the run is damaged ({error}); remove it and train again") from error
    return Run(folder, variant, names, np.array(truth), np.array(actors), seeds, test, validation)


def headline(run: Run, parameters: int) -> list[tuple[str, str]]:
    """Names and values of the figures that a report begins with."""
    never = np.isin(run.actors, list(NEVER_VALIDATING))
    rows = [
        (f"UAR, all {len(set(run.actors.tolist()))} actors", [uar(run.truth, one) for one in run.predicted]),
        ("UAR, the 14 actors that chose no setting", [uar(run.truth[never], one[never]) for one in run.predicted]),
    ]
    chosen = [_selective(run.truth, *pair) for pair in zip(run.test, run.validation, strict=True)]
    coverage, precision = np.mean(chosen, axis=0)
    missed = len(run.names) - len(run.test[0].index)
    return [
        *((name, f"{np.mean(values):.4f} ± {np.std(values):.4f}") for name, values in rows),
        ("seeds", f"{len(run.seeds)} (each trains ten networks; ± is the standard deviation over seeds)"),
        ("parameters", f"{parameters:,}"),
        ("recordings", f"{len(run.names)}, of which the gate misses or splits {missed}: counted as errors"),
        (
            "when it may say “unknown”",
            f"it labels {100 * coverage:.0f} % of the recordings, and {100 * precision:.0f} % of these rightly "
            f"(threshold chosen on validation actors, for {100 * PRECISION:.0f} %)",
        ),
    ]


def _selective(truth: Classes, test: Predictions, validation: Predictions) -> tuple[float, float]:
    """Share labelled, and share right of those, at the threshold that validation actors choose."""
    known = truth[validation.index]
    temperature = fit_temperature(validation.logits, known)
    threshold = unknown_threshold(posterior(validation.logits, temperature), known, PRECISION)
    probabilities = posterior(test.logits, temperature)
    given = probabilities.max(axis=1) >= threshold
    right = (probabilities.argmax(axis=1) == truth[test.index])[given]
    return float(np.sum(given) / len(truth)), float(np.mean(right)) if len(right) else 0.0
