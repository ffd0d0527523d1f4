"""`ser-model train --corpus` and `ser-model cross-corpus`: networks on several corpora, measured on who is held out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ser_model.errors import SerError
from ser_model.training.corpora.corpora_run import CorporaRun, keep_settings, load_pool, open_corpora
from ser_model.training.corpora.held_out import HeldOut, corpus_networks, divide_all, fold_networks
from ser_model.training.corpora.recording_pool import RecordingPool
from ser_model.training.corpora.runner import PoolTrainer, train_missing
from ser_model.training.corpora.summary import summarise
from ser_model.training.corpora.teachers import teachers_of
from ser_model.training.data.labelled_corpus import LabelledCorpus, check_classes
from ser_model.training.experiments.world_metrics import Metrics
from ser_model.training.experiments.world_tables import print_result
from ser_model.training.files import write_json


def train_folds(run: CorporaRun, seeds: int) -> None:
    """Train five networks for each seed, each without one fold of every corpus, and print what they answer for it.

    Writes RUN/folds.json too.

    Raises:
        SerError: A folder is not what is expected, or a class has no recording.
    """
    corpora = open_corpora(run)
    check_classes(_learned(run, corpora), run.targets.never)
    pool = _train(run, corpora, fold_networks(range(seeds)))
    rows = summarise(pool, lambda seed: fold_networks([seed]), range(seeds), run.output)
    _report(run, rows, "folds.json", "speakers held out")


def train_final(run: CorporaRun) -> None:
    """Train one network on all recordings.

    Raises:
        SerError: see `train_folds`.
    """
    corpora = open_corpora(run)
    check_classes(_learned(run, corpora), run.targets.never)
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
    corpora = open_corpora(run)
    networks = partial(corpus_networks, corpora=corpora)
    _check_each(run, corpora)
    pool = _train(run, corpora, networks(range(seeds)))
    rows = summarise(pool, lambda seed: networks([seed]), range(seeds), run.output)
    _report(run, rows, "cross_corpus.json", "each corpus held out")


def _learned(run: CorporaRun, corpora: Sequence[LabelledCorpus]) -> list[LabelledCorpus]:
    """Corpora of which a network learns at least one recording."""
    return [
        corpus
        for corpus in corpora
        if corpus.name not in run.targets.only_measured and (run.targets.ordinary or (corpus.emotions >= 0).any())
    ]


def _check_each(run: CorporaRun, corpora: Sequence[LabelledCorpus]) -> None:
    if len(corpora) < 2:
        raise SerError(f"{corpora[0].name}: is the only corpus, and nothing is left without it; name at least two")
    for left in corpora:
        check_classes(_learned(run, [corpus for corpus in corpora if corpus is not left]), run.targets.never)


def _train(run: CorporaRun, corpora: Sequence[LabelledCorpus], networks: Sequence[HeldOut]) -> RecordingPool:
    """Train the networks that are missing."""
    keep_settings(run, corpora)
    pool = load_pool(run, corpora)
    trainer = PoolTrainer(pool, divide_all(pool.corpora), run.config, run.targets, run.output)
    teachers = dict.fromkeys(teacher for one in networks for teacher in teachers_of(one, pool, run.targets))
    train_missing(trainer, list(teachers), run.output, run.workers, "teachers")
    train_missing(trainer, networks, run.output, run.workers, "networks")
    return pool


def _report(run: CorporaRun, rows: Sequence[Metrics], name: str, title: str) -> None:
    result: Metrics = {"model": run.config.variant, "training_data": None, "limit": None, "corpora": rows}
    write_json(run.output / name, result)
    print_result(result, f"{run.config.variant}, {title}")
