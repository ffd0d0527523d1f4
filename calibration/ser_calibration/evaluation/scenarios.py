"""Draw orders of a speaker's recordings: mixed, one emotion first, mostly neutral, another speaker first.

RAVDESS is balanced, everyday speech is not: in the scenario `mostly neutral`, 70 % of all utterances are neutral.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ser_model.labels import LABELS

WARM_UP: Final = 20
"""Utterances before those that are scored."""

SCORED: Final = 40
"""Utterances that are scored."""

NEUTRAL_SHARE: Final = 0.7

MIXED, MOSTLY_NEUTRAL, OTHER_SPEAKER = "mixed", "mostly neutral", "somebody else first"

SCENARIOS: Final = (MIXED, *(f"{label} first" for label in LABELS), MOSTLY_NEUTRAL, OTHER_SPEAKER)

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class UtteranceOrder:
    """One order of utterances in a scenario."""

    scenario: str
    actor: int
    """Who speaks the scored utterances."""
    utterances: Indices
    """Indices of recordings, shape (60,); the last 40 are scored."""


def draw_orders(
    actor: int,
    fold_actors: Sequence[int],
    actors: Indices,
    emotions: Indices,
    usable: npt.NDArray[np.bool_],
    orders: int,
    rng: np.random.Generator,
) -> Iterator[UtteranceOrder]:
    """Draw random orders of every scenario.

    A warm-up utterance is never scored, except in the mixed order of an actor with fewer than 60 usable recordings.

    Args:
        actor: who speaks.
        fold_actors: actors of the same fold; another one of them speaks first in `somebody else first`.
        actors: by recording, shape (recordings,), like `emotions` and `usable`.
        emotions: by recording.
        usable: whether the gate found exactly one utterance.
        orders: number of orders for each scenario.
        rng: random number generator.
    """
    own = _by_emotion(actor, actors, emotions, usable)
    mine = np.concatenate(own)
    others = [other for other in fold_actors if other != actor]
    for _ in range(orders):
        shuffled = rng.permutation(mine)
        yield UtteranceOrder(MIXED, actor, np.resize(shuffled, WARM_UP + SCORED))
        for emotion, label in enumerate(LABELS):
            # Eight recordings of an emotion are fewer than 20: half of them repeat, the other half is scored.
            first = _half(own[emotion], rng)
            rest = rng.permutation(np.setdiff1d(mine, first))
            utterances = np.concatenate((_repeat(first, WARM_UP, rng), np.resize(rest, SCORED)))
            yield UtteranceOrder(f"{label} first", actor, utterances)
        yield UtteranceOrder(MOSTLY_NEUTRAL, actor, _mostly_neutral(own, rng))
        theirs = np.concatenate(_by_emotion(int(rng.choice(others)), actors, emotions, usable))
        utterances = np.concatenate((np.resize(rng.permutation(theirs), WARM_UP), np.resize(shuffled, SCORED)))
        yield UtteranceOrder(OTHER_SPEAKER, actor, utterances)


def _by_emotion(actor: int, actors: Indices, emotions: Indices, usable: npt.NDArray[np.bool_]) -> list[Indices]:
    return [np.flatnonzero((actors == actor) & usable & (emotions == emotion)) for emotion in range(len(LABELS))]


def _half(recordings: Indices, rng: np.random.Generator) -> Indices:
    return rng.permutation(recordings)[: max(1, len(recordings) // 2)]


def _repeat(recordings: Indices, count: int, rng: np.random.Generator) -> Indices:
    return rng.choice(recordings, count) if len(recordings) else np.zeros(0, dtype=np.int64)


def _mostly_neutral(own: Sequence[Indices], rng: np.random.Generator) -> Indices:
    """Draw 70 % neutral and equally many of the rest; warm-up and scored utterances are different recordings."""
    warm_up = [_half(recordings, rng) for recordings in own]
    scored = [np.setdiff1d(recordings, used) for recordings, used in zip(own, warm_up, strict=True)]
    out = []
    for pools, count in ((warm_up, WARM_UP), (scored, SCORED)):
        neutral = round(NEUTRAL_SHARE * count)
        others = rng.integers(1, len(LABELS), size=count - neutral)
        picked = [rng.choice(pools[0], neutral), *(rng.choice(pools[emotion], 1) for emotion in others)]
        out.append(rng.permutation(np.concatenate(picked)))
    return np.concatenate(out)
