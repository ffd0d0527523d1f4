"""The output folder of `ser-model train`: recordings, settings and networks of a run."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ser_model.errors import SerError
from ser_model.training.data.corpus import Corpus, find_recordings
from ser_model.training.files import write_json
from ser_model.training.folds.jobs import FINAL, FOLDS, Job, Split
from ser_model.training.networks.architecture import VARIANTS, ResLstmSa
from ser_model.training.scores import Classes


@dataclass(frozen=True, slots=True, eq=False)
class RunFolder:
    """A run whose test networks are trained for at least one seed."""

    path: Path
    names: tuple[str, ...]
    """Names of the recordings that the run was trained on."""
    emotions: Classes
    """Shape (recordings,)."""
    actors: Classes
    """Shape (recordings,)."""
    variant: str
    seeds: tuple[int, ...]
    """Seeds whose five test networks are all trained."""

    @classmethod
    def open(cls, path: Path, seeds: int | None = None) -> RunFolder:
        """Read the output folder of `ser-model train`.

        Args:
            path: the folder.
            seeds: number of seeds to use, from the first; `None`: all.

        Raises:
            SerError: It is no such folder, or has fewer complete seeds.
        """
        rows = _read(path, "recordings.json")
        settings = _read(path, "settings.json")
        found = range(len(list(path.glob("seed*-fold0-test.pt"))))
        complete = [seed for seed in found if all(_weights(path, seed, fold).exists() for fold in FOLDS)]
        if len(complete) < (seeds or 1):
            raise SerError(
                f"{path}: expected {seeds or 1} seeds with all five folds, found {len(complete)}; "
                f"run `ser-model train --output {path}` first"
            )
        try:
            variant = settings["fit"]["variant"]
            VARIANTS[variant]
            names = tuple(str(row[0]) for row in rows)
            emotions, actors = (np.array([int(row[column]) for row in rows]) for column in (1, 2))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise SerError(
                f"{path}: its settings.json or recordings.json is not what `ser-model train` wrote"
            ) from error
        return cls(path, names, emotions, actors, variant, tuple(complete[:seeds]))

    def settings(self) -> dict[str, Any]:
        """Read the settings of the training."""
        settings: dict[str, Any] = _read(self.path, "settings.json")
        return settings

    def corpus(self, data: Path) -> Corpus:
        """Find the recordings of the run below `data`.

        Raises:
            SerError: The folder holds other recordings.
        """
        corpus = find_recordings(data)
        if tuple(recording.name for recording in corpus.recordings) != self.names:
            raise SerError(
                f"{data}: expected the {len(self.names)} recordings that {self.path} was trained on, found others"
            )
        return corpus

    def network(self, seed: int, fold: int, split: Split = "test") -> ResLstmSa:
        """Load the `test` or `validation` network of a fold, or the `final` network.

        Raises:
            SerError: Its file is missing, damaged, or made by another version.
        """
        path = self.path / f"{Job(seed, fold, split).name}.pt"
        if not path.exists():
            final = " --final" if split == FINAL.split else ""
            raise SerError(f"{path} is missing: run `ser-model train{final}` with the same --output to finish the run")
        network = ResLstmSa(VARIANTS[self.variant])
        try:
            network.load_state_dict(torch.load(path, weights_only=True))
        except (RuntimeError, pickle.UnpicklingError, EOFError, TypeError, AttributeError) as error:
            raise SerError(f"{path}: is damaged or holds another network; remove it and train again") from error
        return network.eval()

    def networks(self, seed: int, split: Split = "test") -> Iterator[tuple[ResLstmSa, Classes]]:
        """Yield the five networks of a seed, each with the indices of the recordings that it is evaluated on.

        Args:
            seed: one of `seeds`.
            split: `test` or `validation`.
        """
        for fold in FOLDS:
            actors = list(Job(seed, fold, split).evaluated_speakers)
            yield self.network(seed, fold, split), np.flatnonzero(np.isin(self.actors, actors))


def write_recordings(folder: Path, corpus: Corpus) -> None:
    """Write recordings.json, which `RunFolder.open` reads."""
    rows = [[recording.name, recording.emotion, recording.actor] for recording in corpus.recordings]
    write_json(folder / "recordings.json", rows)


def final_digest(folder: Path) -> str | None:
    """SHA-256 of the weights of the final network; `None` if it is not trained."""
    path = folder / f"{FINAL.name}.pt"
    return digest(path) if path.exists() else None


def digest(weights: Path) -> str:
    """SHA-256 of the weights of a network."""
    return hashlib.sha256(weights.read_bytes()).hexdigest()


def _weights(folder: Path, seed: int, fold: int) -> Path:
    return folder / f"{Job(seed, fold, 'test').name}.pt"


def _read(folder: Path, name: str) -> Any:
    path = folder / name
    if not path.is_file():
        raise SerError(f"{folder}: expected the --output folder of `ser-model train`, found no {name} in it")
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise SerError(f"{path}: is damaged ({error}); expected what `ser-model train` wrote") from error
