"""Teaching in daily life: corrections as they come, and running adaptation on top of what was taught."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from ser_calibration.teaching_evaluation.draws import Draw, best_of, draw_speakers, recall
from ser_calibration.teaching_evaluation.gains import Gain
from ser_calibration.teaching_evaluation.listeners import Heard, Listener, apply_head, example
from ser_model.adaptation.adaptation import Adaptation
from ser_model.adaptation.taught_head import TaughtExample, TaughtHead
from ser_model.labels import LABELS
from ser_model.training.scores import Classes

CORRECTIONS: Final = 30
NEUTRAL_SHARE: Final = 0.7
CORRECTED: Final = 0.5
"""Share of the wrong answers that the speaker corrects."""
LONGEST: Final = 400
"""Utterances after which a life ends though there were fewer corrections."""
WARM_UP: Final = 20
"""Utterances that running adaptation learns from before those that count."""

_NEUTRAL: Final = LABELS.index("neutral")


def live(listener: Listener) -> Iterator[Gain]:
    """Yield the gains of both kinds for all draws of all speakers."""
    spoken = _all_versions(listener)
    for draw in draw_speakers(listener):
        yield from _correct(listener, draw, spoken)
        yield from _adapt(listener, draw)


def _all_versions(listener: Listener) -> Heard:
    """Utterances as recorded, and their versions with noise and rooms: nothing is said twice in the same way."""
    parts = (listener.spoken, listener.versions)
    return Heard(
        np.concatenate([one.owner for one in parts]),
        np.concatenate([one.logits for one in parts]),
        np.concatenate([one.embeddings for one in parts if len(one.owner)]),
    )


def _correct(listener: Listener, draw: Draw, spoken: Heard) -> Iterator[Gain]:
    """One half of the recordings is spoken, mostly the neutral ones; the other half tells what it was worth."""
    if _NEUTRAL not in draw.order:
        return
    halves = [np.array_split(own, 2) for own in draw.order.values()]
    said, tested = (np.concatenate(parts) for parts in zip(*halves, strict=True))
    examples: list[TaughtExample] = []
    head: TaughtHead | None = None
    for at in _say(listener, draw, said, spoken):
        truth = int(listener.truth[spoken.owner[at]])
        answer = int(best_of(apply_head(head, spoken, np.array([at])), draw.labels)[0])
        if answer == truth or draw.rng.random() >= CORRECTED:
            continue
        examples.append(example(spoken, at, truth, answer))
        head = listener.fit(examples)
        if len(examples) == CORRECTIONS:
            break
    truth_tested = listener.truth[tested]
    before, after = (
        best_of(logits, draw.labels)
        for logits in (listener.own.logits[tested], apply_head(head, listener.spoken, tested))
    )
    values = [recall(truth_tested, one, draw.labels) for one in (before, after)]
    yield Gain("corrections in daily life, UAR", listener.group, draw.speaker, values[0], values[1])
    neutral = truth_tested == _NEUTRAL
    if neutral.any():
        shares = [
            NEUTRAL_SHARE * np.mean(one[neutral] == _NEUTRAL)
            + (1 - NEUTRAL_SHARE) * np.mean((one == truth_tested)[~neutral])
            for one in (before, after)
        ]
        yield Gain(
            "the same, right answers as spoken", listener.group, draw.speaker, float(shares[0]), float(shares[1])
        )


def _say(listener: Listener, draw: Draw, said: Classes, spoken: Heard) -> Iterator[int]:
    """Yield rows of `spoken`, neutral ones by `NEUTRAL_SHARE`."""
    every = np.flatnonzero(np.isin(spoken.owner, said))
    neutral = listener.truth[spoken.owner[every]] == _NEUTRAL
    for _ in range(LONGEST):
        kind = every[neutral] if draw.rng.random() < NEUTRAL_SHARE else every[~neutral]
        yield int(draw.rng.choice(kind))


def _adapt(listener: Listener, draw: Draw) -> Iterator[Gain]:
    """Taught alone against taught with running adaptation, which learns from half of what is left first."""
    examples = draw.examples(3)
    head = listener.teach(examples, listener.truth[examples])
    learned, tested = np.array_split(draw.rng.permutation(np.setdiff1d(draw.rows, examples)), 2)
    truth = listener.truth[learned]
    if _NEUTRAL in truth:
        weights = np.where(truth == _NEUTRAL, NEUTRAL_SHARE / max(np.sum(truth == _NEUTRAL), 1), 0.0)
        others = truth != _NEUTRAL
        weights[others] = (1 - NEUTRAL_SHARE) / max(np.sum(others), 1)
        mostly = draw.rng.choice(learned, WARM_UP, p=weights / weights.sum())
        yield from _compare("running adaptation on top, 70% neutral before", listener, draw, head, mostly, tested)
    mixed = draw.rng.choice(learned, WARM_UP)
    yield from _compare("running adaptation on top, mixed before", listener, draw, head, mixed, tested)


def _compare(
    scenario: str, listener: Listener, draw: Draw, head: TaughtHead | None, learned: Classes, tested: Classes
) -> Iterator[Gain]:
    truth = listener.truth[tested]
    if not np.isin(draw.labels, truth).any():
        return
    adaptation = Adaptation(listener.metadata, head=head)
    out = []
    for row in [*learned.tolist(), *tested.tolist()]:
        logits = apply_head(head, listener.spoken, np.array([row]))[0]
        out.append(adaptation.offset.apply_to_logits(logits))
        frames = listener.pool.frames[int(listener.own.owner[row])][0]
        adaptation.learn(frames.sum(axis=0, dtype=np.float64), len(frames), logits)
    before = best_of(apply_head(head, listener.spoken, tested), draw.labels)
    after = best_of(np.stack(out[-len(tested) :]), draw.labels)
    yield Gain(
        scenario, listener.group, draw.speaker, recall(truth, before, draw.labels), recall(truth, after, draw.labels)
    )
