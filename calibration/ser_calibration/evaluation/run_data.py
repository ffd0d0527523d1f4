"""Load what the evaluation commands measure: the networks of a run, and its recordings."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from ser_model.training.data.corpus import Corpus
from ser_model.training.data.dataset import Dataset, build
from ser_model.training.folds.run_folder import RunFolder


class RunData(NamedTuple):
    """A loaded run."""

    run: RunFolder
    corpus: Corpus
    """Its recordings."""
    dataset: Dataset
    """Their frames."""


@dataclass(frozen=True, slots=True)
class RunSource:
    """Where a run and its recordings are, and how much of the run is used."""

    folder: Path
    """Output of `ser-model train`. Results are written here."""
    data: Path
    """The run's recordings."""
    _: KW_ONLY
    seeds: int | None = None
    """Use the first seeds only; `None` uses all."""
    workers: int | None = None
    """Processes that compute features; `None` starts one per core."""

    def load(self, *, variants: int = 0, noise: Path | None = None, rooms: Path | None = None) -> RunData:
        """Load the run and compute its frames, augmented as in `build`.

        Raises:
            SerError: a folder isn't what is expected.
        """
        # Features are computed by many processes, networks one by one: more threads only get in their way.
        torch.set_num_threads(1)
        run = RunFolder.open(self.folder, self.seeds)
        corpus = run.corpus(self.data)
        cache = self.folder.parent / "cache"
        dataset = build(corpus, variants=variants, noise=noise, rooms=rooms, cache=cache, workers=self.workers)
        return RunData(run, corpus, dataset)
