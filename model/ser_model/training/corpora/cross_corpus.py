"""`ser-model train --corpus` and `ser-model cross-corpus`: networks on several corpora, measured on who is held out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from ser_model.errors import SerError
from ser_model.training.corpora.held_out import HeldOut, corpus_networks, divide_all, fold_networks
from ser_model.training.corpora.recording_pool import RecordingPool, TargetConfig
from ser_model.training.corpora.runner import PoolTrainer, train_missing
from ser_model.training.corpora.summary import summarise
from ser_model.training.data.augment import check_folders
from ser_model.training.data.corpus_folder import open_corpus
from ser_model.training.data.corpus_frames import build_frames
from ser_model.training.data.labelled_corpus import LabelledCorpus, check_classes
from ser_model.training.experiments.world_metrics import Metrics
from ser_model.training.experiments.world_tables import print_result
from ser_model.training.files import write_json
from ser_model.training.folds.crossval import open_run
from ser_model.training.networks.fit_config import FitConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class CorporaRun:
    """What a run on several corpora is made of."""

    folders: tuple[tuple[str, Path], ...]
    """Name and folder of each corpus."""
    output: Path
    """Folder of the run."""
    config: FitConfig
    targets: TargetConfig
    variants: int
    """Augmented versions of each recording."""
    noise: Path | None = None
    """Folder of noises; `None`: generated ones only."""
    rooms: Path | None = None
    """Folder of room responses; `None`: none."""
    workers: int | None = None
    """Number of processes; `None`: one per core."""


def train_folds(run: CorporaRun, seeds: int) -> None:
    """Train five networks for each seed, each without one fold of every corpus, and print what they answer for it.

    Writes RUN/folds.json too.

    Raises:
        SerError: A folder is not what is expected, or a class has no recording.
    """
    corpora = _open(run)
    check_classes(_learned(run, corpora))
    pool = _train(run, corpora, fold_networks(range(seeds)))
    rows = summarise(pool, lambda seed: fold_networks([seed]), range(seeds), run.output)
    _report(run, rows, "folds.json", "speakers held out")


def train_final(run: CorporaRun) -> None:
    """Train one network on all recordings.

    Raises:
        SerError: see `train_folds`.
    """
    corpora = _open(run)
    check_classes(_learned(run, corpora))
    final = HeldOut(0)
    _train(run, corpora, [final])
    print(run.output / f"{final.name}.pt")


def cross_corpus(run: CorporaRun, seeds: int) -> None:
    """Train one network without each corpus for each seed, and print what they answer for it.

    Nothing of a corpus that is held out is used: neither its recordings, nor the mean and deviation of its features.
    Writes RUN/cross_corpus.json too.

    Raises:
        SerError: A folder is not what is expected, or without a corpus a class has no recording.
    """
    corpora = _open(run)
    networks = partial(corpus_networks, corpora=corpora)
    _check_each(run, corpora)
    pool = _train(run, corpora, networks(range(seeds)))
    rows = summarise(pool, lambda seed: networks([seed]), range(seeds), run.output)
    _report(run, rows, "cross_corpus.json", "each corpus held out")


def _open(run: CorporaRun) -> list[LabelledCorpus]:
    check_folders(run.noise, run.rooms)
    corpora = [open_corpus(folder, name) for name, folder in run.folders]
    names = [corpus.name for corpus in corpora]
    for name in names:
        if names.count(name) > 1:
            raise SerError(f"two corpora are called {name}; speakers are told apart by it, so give each its own name")
    for name in run.targets.examples:
        if name not in names:
            raise SerError(f"--examples {name}: is none of the corpora, which are {', '.join(names)}")
    return corpora


def _learned(run: CorporaRun, corpora: Sequence[LabelledCorpus]) -> list[LabelledCorpus]:
    """Corpora of which a network learns at least one recording."""
    return [corpus for corpus in corpora if run.targets.ordinary or (corpus.emotions >= 0).any()]


def _check_each(run: CorporaRun, corpora: Sequence[LabelledCorpus]) -> None:
    if len(corpora) < 2:
        raise SerError(f"{corpora[0].name}: is the only corpus, and nothing is left without it; name at least two")
    for left in corpora:
        check_classes(_learned(run, [corpus for corpus in corpora if corpus is not left]))


def _train(run: CorporaRun, corpora: Sequence[LabelledCorpus], networks: Sequence[HeldOut]) -> RecordingPool:
    """Train the networks that are missing."""
    open_run(run.output, _settings(run, corpora))
    parts = [
        build_frames(
            corpus,
            cache=run.output.parent / "cache",
            variants=run.variants,
            noise=run.noise,
            rooms=run.rooms,
            workers=run.workers,
        )
        for corpus in corpora
    ]
    pool = RecordingPool(tuple(parts))
    trainer = PoolTrainer(pool, divide_all(corpora), run.config, run.targets, run.output)
    train_missing(trainer, networks, run.output, run.workers)
    return pool


def _settings(run: CorporaRun, corpora: Sequence[LabelledCorpus]) -> Metrics:
    """Return the content of settings.json. A corpus is known by its name and a digest of its recordings."""
    digests = {corpus.name: hashlib.sha256("\n".join(corpus.identity).encode()).hexdigest() for corpus in corpora}
    return {
        "fit": asdict(run.config),
        "targets": {name: getattr(run.targets, name) for name in run.targets.__slots__},
        "corpora": digests,
        "variants": run.variants,
        "noise": run.noise is not None,
        "rooms": run.rooms is not None,
    }


def _report(run: CorporaRun, rows: Sequence[Metrics], name: str, title: str) -> None:
    result: Metrics = {"model": run.config.variant, "training_data": None, "limit": None, "corpora": rows}
    write_json(run.output / name, result)
    print_result(result, f"{run.config.variant}, {title}")
