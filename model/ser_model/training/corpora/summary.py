"""Metrics of a run on several corpora: what its networks answer for who is held out, over seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from ser_model.labels import LABELS
from ser_model.training.corpora.held_out import HeldOut
from ser_model.training.corpora.recording_pool import RecordingPool
from ser_model.training.experiments.world_metrics import Answers, Metrics, measure
from ser_model.training.scores import posterior

_AVERAGED = ("uar", "uar_of_eight", "labelled", "precision", "ece", "overconfidence", "arousal_auc")
_ORDINARY = ("labelled", "emotional", "emotional_of_labelled")


def summarise(
    pool: RecordingPool, networks: Callable[[int], Iterable[HeldOut]], seeds: Sequence[int], folder: Path
) -> list[Metrics]:
    """Return the metrics of each corpus: means over seeds, and under `seeds` those of each.

    Every answer has a label, as no threshold of `unknown` is fitted, and the temperature is 1.

    Args:
        pool: the recordings.
        networks: for a seed, the networks that together answer for every recording once.
        seeds: the seeds.
        folder: the folder of the run.
    """
    by_seed = [_measure(pool, networks(seed), folder) for seed in seeds]
    return [average(rows) for rows in zip(*by_seed, strict=True)]


def _measure(pool: RecordingPool, networks: Iterable[HeldOut], folder: Path) -> list[Metrics]:
    scores = np.full((len(pool.emotions), len(LABELS)), 1 / len(LABELS))
    labels = np.full(len(pool.emotions), -1, dtype=np.int64)
    for one in networks:
        with np.load(folder / f"{one.name}.npz") as file:
            scores[file["index"]] = posterior(file["logits"])
            labels[file["index"]] = file["logits"].argmax(axis=1)
    rows = []
    for at, corpus in enumerate(pool.corpora):
        own = pool.corpus == at
        rows.append(measure(corpus, Answers(scores[own], labels[own], pool.utterances[own])))
    return rows


def average(rows: Sequence[Metrics]) -> Metrics:
    """Average the metrics of a corpus over seeds; the confusion is the sum."""
    out = dict(rows[0])
    out |= {name: _average(rows, name) for name in _AVERAGED if name in out}
    if "confusion" in out:
        out["confusion"] = np.sum([row["confusion"] for row in rows], axis=0).tolist()
        out["uar_std"] = float(np.std([row["uar"] for row in rows]))
        groups = zip(*(row["groups"] for row in rows), strict=True)
        out["groups"] = [group[0] | {"uar": _average(group, "uar")} for group in groups]
    if "activation" in out:
        levels = [row["activation"] for row in rows]
        out["activation"] = {name: _average(levels, name) for name in levels[0]}
    if "ordinary" in out:
        ordinary = [row["ordinary"] for row in rows]
        counts = {label: sum(one["labels"][label] for one in ordinary) for label in LABELS}
        out["ordinary"] = ordinary[0] | {name: _average(ordinary, name) for name in _ORDINARY} | {"labels": counts}
    return out | {"seeds": list(rows)}


def _average(rows: Sequence[Metrics], name: str) -> float | None:
    values = [row[name] for row in rows if row[name] is not None]
    return float(np.mean(values)) if values else None
