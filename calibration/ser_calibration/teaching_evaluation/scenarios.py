"""What examples are worth to the speaker who gave them, and to another one, in every scenario but daily life."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from scipy.special import expit

from ser_calibration.cross_corpus.answers import Evidence
from ser_calibration.cross_corpus.fitting import levels
from ser_calibration.teaching_evaluation.draws import Draw, best_of, draw_speakers, is_strong, recall
from ser_calibration.teaching_evaluation.gains import Gain
from ser_calibration.teaching_evaluation.listeners import Heard, Listener, apply_head
from ser_model.adaptation.taught_head import TaughtHead
from ser_model.config import DecisionConfig
from ser_model.labels import LABELS
from ser_model.scoring.activation import log_odds
from ser_model.training.experiments.world_metrics import calibration_error
from ser_model.training.scores import Classes, Logits, posterior
from ser_model.types import to_samples

COUNTS: Final = (1, 2, 3, 5, 10)
"""Examples of each label."""
USUAL: Final = 3
MISLABELLED: Final = (0.1, 0.2)


def teach_all(listener: Listener) -> Iterator[Gain]:
    """Yield the gains of all scenarios for all draws of all speakers."""
    draws = list(draw_speakers(listener))
    for draw in draws:
        yield from _by_count(listener, draw)
        yield from _three_labels(listener, draw)
        yield from _mislabelled(listener, draw)
        yield from _strong(listener, draw)
        head = _usual_head(listener, draw)
        examples = draw.examples(USUAL)
        for name, heard in listener.changed.items():
            spoken = np.flatnonzero(np.isin(heard.owner, np.setdiff1d(draw.rows, examples)))
            yield from _gain(f"tested with {name}", listener, draw, head, heard, spoken)
        yield from teach_another("another speaker after teaching", listener, draw, draws)


def teach_another(scenario: str, listener: Listener, draw: Draw, draws: Sequence[Draw]) -> Iterator[Gain]:
    """Yield what somebody else gains from the examples of a speaker."""
    others = [one for one in draws if one.number == draw.number and one.speaker != draw.speaker]
    if others:
        other = others[int(np.random.default_rng(list(draw.speaker.encode())).integers(len(others)))]
        rows = np.concatenate([own for label, own in other.order.items() if label in draw.labels])
        yield from _gain(scenario, listener, draw, _usual_head(listener, draw), listener.spoken, rows)


def measure_gain(scenario: str, listener: Listener, draw: Draw, examples: Classes, labels: Classes) -> Iterator[Gain]:
    """Yield the gain from examples, with the labels that the speaker gives them, for all other utterances."""
    head = listener.teach(examples, labels)
    yield from _gain(scenario, listener, draw, head, listener.spoken, np.setdiff1d(draw.rows, examples))


def _usual_head(listener: Listener, draw: Draw) -> TaughtHead | None:
    examples = draw.examples(USUAL)
    return listener.teach(examples, listener.truth[examples])


def _by_count(listener: Listener, draw: Draw) -> Iterator[Gain]:
    for count in COUNTS:
        examples = draw.examples(count)
        yield from measure_gain(f"{count} of each label", listener, draw, examples, listener.truth[examples])


def _three_labels(listener: Listener, draw: Draw) -> Iterator[Gain]:
    labels = draw.some_labels(3)
    examples = draw.examples(USUAL, labels)
    head = listener.teach(examples, listener.truth[examples])
    rest = np.setdiff1d(draw.rows, examples)
    others = [label for label in draw.labels if label not in labels]
    yield from _gain("three labels taught: these", listener, draw, head, listener.spoken, rest, labels)
    yield from _gain("three labels taught: the others", listener, draw, head, listener.spoken, rest, others)


def _mislabelled(listener: Listener, draw: Draw) -> Iterator[Gain]:
    examples = draw.examples(USUAL)
    for share in MISLABELLED:
        wrong = draw.mislabel(listener.truth[examples], share)
        yield from measure_gain(f"{share:.0%} mislabelled", listener, draw, examples, wrong)


def _strong(listener: Listener, draw: Draw) -> Iterator[Gain]:
    """Taught by strong utterances, tested on normal ones; neutral ones are never strong."""
    examples, rest = [], []
    for label, own in draw.order.items():
        strong = [is_strong(listener.names[row]) for row in own.tolist()]
        loud = own[[one is True for one in strong]]
        soft = own[[one is False for one in strong]]
        if not len(loud):
            if LABELS[label] != "neutral":
                return
            count = min(USUAL, len(own) - 1)
            loud, soft = own[:count], own[count:]
        examples.append(loud[:USUAL])
        rest.append(soft)
    rows = np.concatenate(examples)
    tested = np.concatenate(rest)
    if len(tested):
        head = listener.teach(rows, listener.truth[rows])
        yield from _gain("taught strong, tested normal", listener, draw, head, listener.spoken, tested)


def _gain(
    scenario: str,
    listener: Listener,
    draw: Draw,
    head: TaughtHead | None,
    heard: Heard,
    rows: Classes,
    counted: list[int] | None = None,
) -> Iterator[Gain]:
    """Answers are the best of the labels that the speaker has; `counted` are those whose recall counts."""
    truth = listener.truth[heard.owner[rows]]
    labels = draw.labels if counted is None else counted
    if not np.isin(labels, truth).any():
        return
    before, after = (
        recall(truth, best_of(logits, draw.labels), labels)
        for logits in (heard.logits[rows], apply_head(head, heard, rows))
    )
    yield Gain(scenario, listener.group, draw.speaker, before, after)


def measure_confidence(listener: Listener) -> list[dict[str, Any]]:
    """Return what the daemon would say before and after `USUAL` examples of each label, one row for each.

    Here all eight labels are possible answers. Rows have `group`, `speakers`, `when`, `ece`, `labelled`, `right` (of
    those labelled), `said` and `right_level` of activation; `None` where nothing is said.
    """
    rows, taught = [], []
    draws = list(draw_speakers(listener))
    for draw in draws:
        examples = draw.examples(USUAL)
        rest = np.setdiff1d(draw.rows, examples)
        rows.append(rest)
        taught.append(apply_head(_usual_head(listener, draw), listener.spoken, rest))
    if not rows:
        return []
    chosen = np.concatenate(rows)
    parts = {"before": listener.own.logits[chosen], "after": np.concatenate(taught)}
    names = {"group": listener.group, "speakers": len({one.speaker for one in draws})}
    return [{**names, "when": when, **_decide(listener, chosen, part)} for when, part in parts.items()]


def _decide(listener: Listener, rows: Classes, logits: Logits) -> dict[str, float | None]:
    voiced, calibration = listener.own.voiced[rows], listener.calibration
    scores = posterior(logits, calibration.temperature.after(voiced))
    accepted = listener.pool.accepted[listener.own.owner[rows]]
    confidence, right = scores.max(axis=1), accepted[np.arange(len(rows)), scores.argmax(axis=1)]
    long = voiced >= to_samples(DecisionConfig().min_voiced_ms)
    given = long & (confidence >= calibration.unknown_below)
    even = np.full(len(rows), 1 / len(rows))
    high, low = levels(Evidence(listener.own, accepted, rows, even, even))
    probability = expit(calibration.activation.slope * log_odds(scores) + calibration.activation.offset)
    said = long & (high | low) & (np.maximum(probability, 1 - probability) >= calibration.activation.unknown_below)
    return {
        "ece": float(calibration_error(confidence, right)),
        "labelled": float(given.mean()),
        "right": float(right[given].mean()) if given.any() else None,
        "said": float(said.sum() / max((high | low).sum(), 1)),
        "right_level": float(((probability > 0.5) == high)[said].mean()) if said.any() else None,
    }
