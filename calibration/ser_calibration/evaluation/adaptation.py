"""`ser-calibrate adaptation`: what adapting to a speaker is worth, what it costs where it is misled, and what it needs.

What it needs is the table of logits that are typical of each answer, from validation actors; export writes it into the
model. Whoever is measured had no part in the table that he is measured with.

Speakers whom the networks have not heard say 60 utterances in random orders; the daemon's own adaptation hears 20, and
goes on learning while the other 40 are counted: the same utterances with and without it. What it knows after 20 is just
what a profile would hold; so it is compared as well with a profile that stays what it is, and with none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from rich.progress import track

from ser_calibration.evaluation.ablations import AS_SHIPPED, BEGINNINGS
from ser_calibration.evaluation.paired_gains import PairedPredictions, against, print_paired_gains, summarise
from ser_calibration.evaluation.run_data import RunSource
from ser_calibration.evaluation.scenarios import COUNTED, HEARD, Plan, draw
from ser_model.adaptation.adaptation import Adaptation, AdaptationStrength
from ser_model.errors import SerError
from ser_model.features.features import RECIPE, SIZE
from ser_model.labels import LABELS
from ser_model.network.metadata import ModelMetadata
from ser_model.scoring.logit_bias import ClassMeanLogits, fit_class_mean_logits
from ser_model.training.calibration_files import AdaptationFile, write_adaptation
from ser_model.training.data.corpus import TEST_ACTORS, VALIDATION_ACTORS
from ser_model.training.data.dataset import Dataset
from ser_model.training.folds.predictions import Predictions, out_of_fold
from ser_model.training.folds.run_folder import RunFolder
from ser_model.training.networks.architecture import ResLstmSa
from ser_model.training.networks.fit import predict

FOLDS: Final = range(len(TEST_ACTORS))

SEED: Final = 1
"""Of the orders."""

TRIED: Final[dict[str, AdaptationStrength]] = {
    AS_SHIPPED: AdaptationStrength(),
    "logits: half the prior": AdaptationStrength(logit_prior_seconds=15.0),
    "logits: twice the prior": AdaptationStrength(logit_prior_seconds=60.0),
    "logits: bound 0.3": AdaptationStrength(logit_bound=0.3),
    "logits: no bound": AdaptationStrength(logit_bound=math.inf),
    "logits: memory of 120 s": AdaptationStrength(memory_seconds=120.0),
    "features alone: prior 120 s": AdaptationStrength(prior_seconds=120.0, logit_prior_seconds=math.inf),
    "features alone: prior 60 s": AdaptationStrength(prior_seconds=60.0, logit_prior_seconds=math.inf),
    "features alone: prior 120 s, bound 0.15": AdaptationStrength(
        prior_seconds=120.0, bound=0.15, logit_prior_seconds=math.inf
    ),
    "both: features' prior 240 s": AdaptationStrength(prior_seconds=240.0),
}
"""Strengths that were compared on validation actors."""


def measure_adaptation(source: RunSource, *, orders: int, validation: bool) -> None:
    """Print what adaptation does; write RUN/adaptation.json, which export reads (or adaptation-validation.json).

    Args:
        source: the run and its recordings.
        orders: random orders of every actor and scenario.
        validation: compare settings on the validation actors, by the networks that have not heard them; export doesn't
            read this.

    Raises:
        SerError: a folder isn't what is expected.
    """
    run, _, dataset = source.load()
    for actor in np.unique(run.actors):
        usable = (run.actors == actor) & (dataset.utterances == 1)
        # Neutral needs two: one to learn from, one to score.
        if min(np.sum(usable & (run.emotions == emotion)) for emotion in range(len(LABELS))) < 2:
            raise SerError(
                f"{source.data}: expected recordings of all eight emotions, two of each; actor {actor} has fewer"
            )
    known = Predictions.join([fold for seed in run.seeds for fold in out_of_fold(run, dataset, seed, "validation")])
    compare = _strengths if validation else _beginnings
    result: AdaptationFile = {
        "actors": "validation" if validation else "test",
        "seeds": list(run.seeds),
        "orders": orders,
        "typical_logits": fit_class_mean_logits(known.logits).tolist(),
        "rows": [{"setting": name, **summarise(told)} for name, told in compare(run, dataset, known, orders)],
    }
    write_adaptation(source.folder, result)
    print_paired_gains(result)


def _strengths(
    run: RunFolder, dataset: Dataset, known: Predictions, orders: int
) -> Iterator[tuple[str, list[PairedPredictions]]]:
    for name, strength in TRIED.items():
        yield name, hear(run, dataset, known, strength, orders, validation=True)


def _beginnings(
    run: RunFolder, dataset: Dataset, known: Predictions, orders: int
) -> Iterator[tuple[str, list[PairedPredictions]]]:
    shipped = hear(run, dataset, known, AdaptationStrength(), orders, validation=False)
    yield AS_SHIPPED, shipped
    for name, kind in BEGINNINGS.items():
        other = hear(run, dataset, known, AdaptationStrength(), orders, validation=False, kind=kind)
        yield name, other
        yield f"{AS_SHIPPED} against {name}", against(shipped, other)


def hear(
    run: RunFolder,
    dataset: Dataset,
    known: Predictions,
    strength: AdaptationStrength,
    orders: int,
    *,
    validation: bool,
    kind: type[Adaptation] = Adaptation,
) -> list[PairedPredictions]:
    """Play all scenarios to all networks, every actor to those that have not heard him.

    `known` are all answers for validation actors: those of the fold's own actors are left out of its table. `kind` is
    the daemon's adaptation or one that takes part of what it hears.
    """
    heard = dataset.utterances == 1
    jobs = [(seed, fold) for seed in run.seeds for fold in FOLDS]
    told = []
    for seed, fold in track(jobs, "utterance by utterance"):
        actors = (VALIDATION_ACTORS if validation else TEST_ACTORS)[fold]
        rng = np.random.default_rng([SEED, fold])
        plans = [plan for actor in actors for plan in draw(actor, actors, run.actors, run.emotions, heard, orders, rng)]
        network = run.network(seed, fold, "validation" if validation else "test")
        metadata = _metadata(network, run.variant, typical_without(run, known, actors))
        minds = [kind(metadata, strength=strength) for _ in plans]
        told += list(_play(network, run, dataset, plans, minds))
    return told


def typical_without(run: RunFolder, known: Predictions, actors: Sequence[int]) -> ClassMeanLogits:
    """What is typical of each answer by all answers but those for some actors."""
    others = known.where(~np.isin(run.actors[known.owner], actors))
    return tuple(map(tuple, fit_class_mean_logits(others.logits).tolist()))


def _play(
    network: ResLstmSa, run: RunFolder, dataset: Dataset, plans: Sequence[Plan], minds: Sequence[Adaptation]
) -> Iterator[PairedPredictions]:
    """All orders side by side: utterance after utterance, since each changes how the next is judged."""
    frames = [
        versions[0].astype(np.float32) if versions else np.zeros((0, SIZE), np.float32) for versions in dataset.frames
    ]
    totals = [one.sum(axis=0, dtype=np.float64) for one in frames]
    known = np.unique([plan.utterances for plan in plans])
    unmoved = np.zeros((len(frames), len(LABELS)), dtype=np.float32)
    unmoved[known] = predict(network, [frames[at] for at in known])
    classes = np.zeros((len(plans), HEARD + COUNTED), dtype=np.int64)
    for step in range(HEARD + COUNTED):
        now = np.array([plan.utterances[step] for plan in plans])
        logits = unmoved[now]
        moved = [row for row, mind in enumerate(minds) if mind.map.features.any()]
        # Batches of like lengths: padding is computed too.
        moved.sort(key=lambda row: len(frames[now[row]]))
        if moved:
            logits[moved] = predict(network, [minds[row].map.frames(frames[now[row]]) for row in moved])
        for row, (mind, at) in enumerate(zip(minds, now, strict=True)):
            classes[row, step] = mind.map.judged(logits[row]).argmax()
            mind.learn(totals[at], len(frames[at]), logits[row])
    for plan, said in zip(plans, classes, strict=True):
        counted = plan.utterances[-COUNTED:]
        yield PairedPredictions(plan, run.emotions[counted], unmoved[counted].argmax(axis=1), said[-COUNTED:])


def _metadata(network: ResLstmSa, variant: str, typical: ClassMeanLogits) -> ModelMetadata:
    """As the network would be exported."""
    return ModelMetadata(
        mode="window",
        variant=variant,
        hidden=network.hidden,
        mean=tuple(network.mean.tolist()),
        std=tuple(network.std.tolist()),
        temperature=1.0,
        unknown_below=0.0,
        typical_logits=typical,
        training_data="",
        licence="",
        features=RECIPE,
    )
