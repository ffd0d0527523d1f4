"""What a finished run answered, and its headline figures."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ser_model.errors import SerError
from ser_model.training.corpus import NEVER_VALIDATING
from ser_model.training.crossval import Predictions, pooled
from ser_model.training.fitted import PRECISION
from ser_model.training.jobs import FOLDS, SPLITS, Job
from ser_model.training.run_folder import RunFolder
from ser_model.training.scores import Classes, fit_temperature, posterior, uar, unknown_threshold


@dataclass(frozen=True, slots=True)
class Run:
    """What a finished run answered."""

    folder: RunFolder
    seeds: tuple[int, ...]
    """Those whose ten networks are all trained."""
    test: tuple[Predictions, ...]
    """One for each seed, as `validation`."""
    validation: tuple[Predictions, ...]

    @property
    def truth(self) -> Classes:
        """Emotion of every recording, shape (recordings,)."""
        return self.folder.emotions

    @property
    def predicted(self) -> list[Classes]:
        """Of every seed the answers for all recordings, as `uar` takes them."""
        return [one.classes(len(self.truth)) for one in self.test]


def open_finished(path: Path) -> Run:
    """Read a run.

    Raises:
        SerError: it isn't one, or no seed of it has all its networks.
    """
    folder = RunFolder.open(path)
    jobs = [(fold, split) for fold in FOLDS for split in SPLITS]
    there = {seed: sum((path / f"{Job(seed, *job).name}.npz").exists() for job in jobs) for seed in folder.seeds}
    seeds = tuple(seed for seed, count in there.items() if count == len(jobs))
    if not seeds:
        raise SerError(
            f"{path}: is unfinished, {max(there.values())} of the {len(jobs)} networks of a seed have answered; "
            "the same `ser-model train` command goes on"
        )
    try:
        test, validation = (tuple(pooled(path, seed, split) for seed in seeds) for split in ("test", "validation"))
        highest = max(int(one.index.max(initial=0)) for one in (*test, *validation))
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise SerError(
            f"{path}: the answers of a network are damaged ({error}); remove them and train again"
        ) from error
    if highest >= len(folder.names):
        raise SerError(f"{path}: its networks answer for other recordings than its recordings.json names")
    return Run(folder, seeds, test, validation)


def headline(run: Run, parameters: int) -> list[tuple[str, str]]:
    """Names and values of the figures that a report begins with."""
    never = np.isin(run.folder.actors, list(NEVER_VALIDATING))
    rows = [
        (f"UAR, all {len(set(run.folder.actors.tolist()))} actors", [uar(run.truth, one) for one in run.predicted]),
        ("UAR, the 14 actors that chose no setting", [uar(run.truth[never], one[never]) for one in run.predicted]),
    ]
    chosen = [_selective(run.truth, *pair) for pair in zip(run.test, run.validation, strict=True)]
    coverage, precision = np.mean(chosen, axis=0)
    missed = len(run.truth) - len(run.test[0].index)
    return [
        *((name, f"{np.mean(values):.4f} ± {np.std(values):.4f}") for name, values in rows),
        ("seeds", f"{len(run.seeds)} (each trains ten networks; ± is the standard deviation over seeds)"),
        ("parameters", f"{parameters:,}"),
        ("recordings", f"{len(run.truth)}, of which the gate misses or splits {missed}: counted as errors"),
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
