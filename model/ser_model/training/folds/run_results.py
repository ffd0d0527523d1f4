"""The predictions of a run whose networks are all trained."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ser_model.errors import SerError
from ser_model.training.calibration_files import PRECISION
from ser_model.training.folds.crossval import PooledPredictions, read_pooled
from ser_model.training.folds.jobs import FOLDS, SPLITS, Job
from ser_model.training.folds.run_folder import RunFolder
from ser_model.training.scores import Classes, Logits, fit_temperature, posterior, unknown_threshold


@dataclass(frozen=True, slots=True)
class RunResults:
    """The predictions of a run."""

    folder: RunFolder
    seeds: tuple[int, ...]
    """Seeds whose ten networks are all trained."""
    test: tuple[PooledPredictions, ...]
    """For test actors, one for each seed; `validation` holds those for validation actors."""
    validation: tuple[PooledPredictions, ...]

    @property
    def truth(self) -> Classes:
        """Emotion of every recording, shape (recordings,)."""
        return self.folder.emotions

    @property
    def predicted(self) -> list[Classes]:
        """For each seed the class of every recording, as `uar` takes them."""
        return [one.classes(len(self.truth)) for one in self.test]


def open_results(path: Path) -> RunResults:
    """Read the predictions of a run.

    Raises:
        SerError: The folder is not that of a run, or no seed has all its networks.
    """
    folder = RunFolder.open(path)
    jobs = [(fold, split) for fold in FOLDS for split in SPLITS]
    counts = {seed: sum((path / f"{Job(seed, *job).name}.npz").exists() for job in jobs) for seed in folder.seeds}
    seeds = tuple(seed for seed, count in counts.items() if count == len(jobs))
    if not seeds:
        raise SerError(
            f"{path}: is unfinished, {max(counts.values())} of the {len(jobs)} networks of a seed have answered; "
            "the same `ser-model train` command goes on"
        )
    try:
        test, validation = (tuple(read_pooled(path, seed, split) for seed in seeds) for split in ("test", "validation"))
        highest = max(int(one.index.max(initial=0)) for one in (*test, *validation))
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise SerError(
            f"{path}: the answers of a network are damaged ({error}); remove them and train again"
        ) from error
    if highest >= len(folder.names):
        raise SerError(f"{path}: its networks answer for other recordings than its recordings.json names")
    return RunResults(folder, seeds, test, validation)


def calibrate(run: RunResults, index: Classes, logits: Logits) -> tuple[float, float]:
    """Fit one temperature for whole utterances, and the threshold of `unknown` at that temperature.

    Args:
        run: the run.
        index: indices of recordings of validation actors, shape (n,).
        logits: shape (n, 8).
    """
    truth = run.truth[index]
    temperature = fit_temperature(logits, truth)
    probabilities = posterior(logits, temperature)
    return temperature, unknown_threshold(probabilities, truth, run.folder.actors[index], PRECISION)


def coverage_and_precision(
    run: RunResults, test: PooledPredictions, validation: PooledPredictions
) -> tuple[float, float]:
    """Share of test recordings with a label, and share of right labels, at the threshold of validation actors."""
    temperature, threshold = calibrate(run, validation.index, validation.logits)
    probabilities = posterior(test.logits, temperature)
    given = probabilities.max(axis=1) >= threshold
    right = (probabilities.argmax(axis=1) == run.truth[test.index])[given]
    return float(np.sum(given) / len(run.truth)), float(np.mean(right)) if len(right) else 0.0
