"""`ser-calibrate adaptation`: fit the class-mean logits that adaptation needs, and measure the gain of adaptation.

The class-mean logits come from validation actors; export writes them into the model. An actor's own logits are left
out of the table that the actor is measured with.

Unseen speakers say 60 utterances in random orders. The daemon's adaptation learns from all of them; the last 40 are
scored with and without it. Its state after the first 20 equals a profile of them, so it is also compared with a profile
that does not change, and with no profile.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from rich.progress import track

from ser_calibration.evaluation.ablations import ABLATIONS, AS_SHIPPED
from ser_calibration.evaluation.paired_gains import PairedPredictions, print_paired_gains, summarise, with_baseline
from ser_calibration.evaluation.run_data import RunSource
from ser_calibration.evaluation.scenarios import SCORED, WARM_UP, UtteranceOrder, draw_orders
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
from ser_model.training.networks.inference import predict

FOLDS: Final = range(len(TEST_ACTORS))

SEED: Final = 1
"""Seed of the orders."""

STRENGTHS: Final[dict[str, AdaptationStrength]] = {
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
"""Strengths that `--validation` compares."""


def measure_adaptation(source: RunSource, *, orders: int, validation: bool) -> None:
    """Print the gain of adaptation; write RUN/adaptation.json, which export reads (or adaptation-validation.json).

    Args:
        source: the run and its recordings.
        orders: random orders of every actor and scenario.
        validation: compare strengths on the validation actors, by networks that have not seen them; export does not
            read the result.

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
    compare = _compare_strengths if validation else _compare_ablations
    result: AdaptationFile = {
        "actors": "validation" if validation else "test",
        "seeds": list(run.seeds),
        "orders": orders,
        "typical_logits": fit_class_mean_logits(known.logits).tolist(),
        "rows": [
            {"setting": name, **summarise(predictions)} for name, predictions in compare(run, dataset, known, orders)
        ],
    }
    write_adaptation(source.folder, result)
    print_paired_gains(result)


def _compare_strengths(
    run: RunFolder, dataset: Dataset, known: Predictions, orders: int
) -> Iterator[tuple[str, list[PairedPredictions]]]:
    for name, strength in STRENGTHS.items():
        yield name, predict_scenarios(run, dataset, known, strength, orders, validation=True)


def _compare_ablations(
    run: RunFolder, dataset: Dataset, known: Predictions, orders: int
) -> Iterator[tuple[str, list[PairedPredictions]]]:
    strength = AdaptationStrength()
    shipped = predict_scenarios(run, dataset, known, strength, orders, validation=False)
    yield AS_SHIPPED, shipped
    for name, kind in ABLATIONS.items():
        other = predict_scenarios(run, dataset, known, strength, orders, validation=False, kind=kind)
        yield name, other
        yield f"{AS_SHIPPED} against {name}", with_baseline(shipped, other)


def predict_scenarios(
    run: RunFolder,
    dataset: Dataset,
    known: Predictions,
    strength: AdaptationStrength,
    orders: int,
    *,
    validation: bool,
    kind: type[Adaptation] = Adaptation,
) -> list[PairedPredictions]:
    """Return the predictions of all networks for all scenarios of the actors that they have not seen.

    Args:
        run: whose networks predict.
        dataset: the frames.
        known: all predictions for validation actors.
        strength: of the adaptation.
        orders: random orders of every actor and scenario.
        validation: use validation actors and their networks instead of test actors.
        kind: the daemon's adaptation, or an ablation.
    """
    usable = dataset.utterances == 1
    jobs = [(seed, fold) for seed in run.seeds for fold in FOLDS]
    predictions: list[PairedPredictions] = []
    for seed, fold in track(jobs, "utterance by utterance"):
        actors = (VALIDATION_ACTORS if validation else TEST_ACTORS)[fold]
        rng = np.random.default_rng([SEED, fold])
        drawn = [
            order
            for actor in actors
            for order in draw_orders(actor, actors, run.actors, run.emotions, usable, orders, rng)
        ]
        network = run.network(seed, fold, "validation" if validation else "test")
        metadata = unexported_metadata(
            class_mean_logits_without(run, known, actors),
            network.mean.tolist(),
            network.std.tolist(),
            run.variant,
            network.hidden,
        )
        adaptations = [kind(metadata, strength=strength) for _ in drawn]
        predictions += _predict_orders(network, run, dataset, drawn, adaptations)
    return predictions


def class_mean_logits_without(run: RunFolder, known: Predictions, actors: Sequence[int]) -> ClassMeanLogits:
    """Return the class-mean logits of all predictions except those for some actors."""
    others = known.where(~np.isin(run.actors[known.owner], actors))
    return tuple(map(tuple, fit_class_mean_logits(others.logits).tolist()))


def _predict_orders(
    network: ResLstmSa,
    run: RunFolder,
    dataset: Dataset,
    orders: Sequence[UtteranceOrder],
    adaptations: Sequence[Adaptation],
) -> Iterator[PairedPredictions]:
    """Predict all orders side by side, step by step, since each utterance changes how the next one is scored."""
    frames = [
        versions[0].astype(np.float32) if versions else np.zeros((0, SIZE), np.float32) for versions in dataset.frames
    ]
    totals = [one.sum(axis=0, dtype=np.float64) for one in frames]
    used = np.unique([order.utterances for order in orders])
    unadapted = np.zeros((len(frames), len(LABELS)), dtype=np.float32)
    unadapted[used] = predict(network, [frames[index] for index in used])
    classes = np.zeros((len(orders), WARM_UP + SCORED), dtype=np.int64)
    for step in range(WARM_UP + SCORED):
        current = np.array([order.utterances[step] for order in orders])
        logits = unadapted[current]
        moved = [row for row, adaptation in enumerate(adaptations) if adaptation.offset.features.any()]
        # Batches of similar lengths, because padding costs time.
        moved.sort(key=lambda row: len(frames[current[row]]))
        if moved:
            logits[moved] = predict(
                network, [adaptations[row].offset.apply_to_frames(frames[current[row]]) for row in moved]
            )
        for row, (adaptation, index) in enumerate(zip(adaptations, current, strict=True)):
            classes[row, step] = adaptation.offset.apply_to_logits(logits[row]).argmax()
            adaptation.learn(totals[index], len(frames[index]), logits[row])
    for order, predicted in zip(orders, classes, strict=True):
        scored = order.utterances[-SCORED:]
        yield PairedPredictions(order, run.emotions[scored], unadapted[scored].argmax(axis=1), predicted[-SCORED:])


def unexported_metadata(
    class_means: ClassMeanLogits, mean: Sequence[float], std: Sequence[float], variant: str = "", hidden: int = 1
) -> ModelMetadata:
    """Return the metadata that an adaptation needs of a network that is not exported.

    Args:
        class_means: its class-mean logits.
        mean: mean of the features that it was trained on, shape (46,).
        std: standard deviation, likewise.
        variant: its size.
        hidden: its cells.
    """
    return ModelMetadata(
        mode="window",
        variant=variant,
        hidden=hidden,
        mean=tuple(mean),
        std=tuple(std),
        temperature=1.0,
        unknown_below=0.0,
        typical_logits=class_means,
        training_data="",
        licence="",
        features=RECIPE,
    )
