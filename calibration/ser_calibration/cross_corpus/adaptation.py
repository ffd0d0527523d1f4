"""What adaptation to a voice gains and costs for speakers of corpora that the network never heard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ser_calibration.cross_corpus.answers import HeldOutAnswers
from ser_calibration.evaluation.adaptation import unexported_metadata
from ser_model.adaptation.adaptation import Adaptation
from ser_model.features.features import SIZE
from ser_model.labels import LABELS
from ser_model.network.metadata import ModelMetadata
from ser_model.scoring.logit_bias import ClassMeanLogits, fit_class_mean_logits
from ser_model.training.corpora.recording_pool import RecordingPool
from ser_model.training.folds.predictions import Predictions
from ser_model.training.scores import Classes, Logits

WARM_UP: Final = 20
SCORED: Final = 40
"""Utterances that are only learned from, and those that are scored too."""

ORDERS: Final = 3
"""Random orders of every speaker and scenario."""

FEWEST: Final = 24
"""Recordings that a speaker needs; half of them are learned from, the other half is scored."""

_SEED: Final = 1


class Order(NamedTuple):
    """What a speaker says, one utterance after the other."""

    scenario: str
    rows: Classes
    """Rows of the predictions, shape (60,); the last 40 are scored."""


def measure_adaptation(answers: HeldOutAnswers) -> list[dict[str, Any]]:
    """Return for each scenario the gain by corpus: UAR with adaptation minus UAR without, in points, over all seeds.

    An answer is adapted as in the daemon: the speaker's offset of the logits is learned utterance by utterance. The
    class-mean logits come from the other corpora.
    """
    pool = answers.pool
    gains: dict[str, dict[str, list[float]]] = {}
    for whole in answers.whole:
        for at, corpus in enumerate(pool.corpora):
            own = whole.where((pool.corpus[whole.owner] == at) & (pool.emotions[whole.owner] >= 0))
            others = whole.where(pool.corpus[whole.owner] != at)
            means = fit_class_mean_logits(others.logits)
            table: ClassMeanLogits = tuple(map(tuple, means.tolist()))
            metadata = unexported_metadata(table, (0.0,) * SIZE, (1.0,) * SIZE)
            for scenario, gain in _gains(pool, own, metadata):
                gains.setdefault(scenario, {}).setdefault(corpus.name, []).append(gain)
    return [
        {"scenario": scenario, "gains": {name: float(np.mean(values)) for name, values in rows.items()}}
        for scenario, rows in gains.items()
    ]


def _gains(pool: RecordingPool, own: Predictions, metadata: ModelMetadata) -> Iterator[tuple[str, float]]:
    truth, accepted = pool.emotions[own.owner], pool.accepted[own.owner]
    outcomes: dict[str, list[tuple[Classes, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]]] = {}
    for order in draw_orders(pool.speakers[own.owner], truth):
        adapted = _adapt(pool, own, order.rows, metadata)[-SCORED:]
        rows = order.rows[-SCORED:]
        before = accepted[rows, own.logits[rows].argmax(axis=1)]
        after = accepted[rows, adapted.argmax(axis=1)]
        outcomes.setdefault(order.scenario, []).append((truth[rows], before, after))
    for scenario, parts in outcomes.items():
        classes, before, after = (np.concatenate(column) for column in zip(*parts, strict=True))
        recalls = [
            [float(np.mean(right[classes == emotion])) for emotion in np.unique(classes)] for right in (before, after)
        ]
        yield scenario, 100 * float(np.mean(recalls[1]) - np.mean(recalls[0]))


def _adapt(pool: RecordingPool, own: Predictions, rows: Classes, metadata: ModelMetadata) -> Logits:
    """Return the adapted logits of utterances in their order, shape (n, 8)."""
    adaptation = Adaptation(metadata)
    out = []
    for row in rows.tolist():
        frames = pool.frames[int(own.owner[row])][0]
        out.append(adaptation.offset.apply_to_logits(own.logits[row]))
        adaptation.learn(frames.sum(axis=0, dtype=np.float64), len(frames), own.logits[row])
    return np.array(out)


def draw_orders(speakers: npt.NDArray[np.str_], truth: Classes) -> Iterator[Order]:
    """Draw the orders of all speakers who have enough recordings.

    Args:
        speakers: of each recording, shape (n,).
        truth: class of each recording, shape (n,).
    """
    rng = np.random.default_rng(_SEED)
    names = [str(name) for name in np.unique(speakers) if np.sum(speakers == name) >= FEWEST]
    for name in names:
        mine = np.flatnonzero(speakers == name)
        for _ in range(ORDERS):
            shuffled = rng.permutation(mine)
            learned, scored = np.array_split(shuffled, 2)
            yield Order("mixed", _join(rng.choice(learned, WARM_UP), rng.choice(scored, SCORED)))
            for share in (0.7, 0.9):
                yield from _mostly_neutral(share, learned, scored, truth, rng)
            for emotion in np.unique(truth[mine]):
                first = learned[truth[learned] == emotion]
                if len(first):
                    yield Order("one emotion first", _join(rng.choice(first, WARM_UP), rng.choice(scored, SCORED)))
            others = np.flatnonzero(np.isin(speakers, [other for other in names if other != name]))
            if len(others):
                theirs = np.flatnonzero(speakers == speakers[rng.choice(others)])
                yield Order("somebody else first", _join(rng.choice(theirs, WARM_UP), rng.choice(scored, SCORED)))


def _mostly_neutral(
    share: float, learned: Classes, scored: Classes, truth: Classes, rng: np.random.Generator
) -> Iterator[Order]:
    """Draw a share of neutral utterances, or calm ones where there are no neutral ones; the rest as they come."""
    neutral, calm = LABELS.index("neutral"), LABELS.index("calm")
    kind = neutral if np.any(truth[learned] == neutral) else calm
    parts = []
    for half, count in ((learned, WARM_UP), (scored, SCORED)):
        quiet, rest = half[truth[half] == kind], half[truth[half] != kind]
        if not len(quiet) or not len(rest):
            return
        many = round(share * count)
        parts.append(rng.permutation(_join(rng.choice(quiet, many), rng.choice(rest, count - many))))
    yield Order(f"{share:.0%} neutral", _join(*parts))


def _join(*parts: Classes) -> Classes:
    return np.concatenate(parts)
