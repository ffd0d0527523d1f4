"""Orders in which a speaker's recordings arrive: mixed, one emotion first, mostly neutral, after somebody else.

RAVDESS is balanced, life is not: in the scenario `mostly neutral` 70 % of all utterances are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ser_model.labels import LABELS

HEARD: Final = 20
"""Utterances before those that count."""

COUNTED: Final = 40

NEUTRAL_SHARE: Final = 0.7

MIXED, MOSTLY_NEUTRAL, SOMEBODY_ELSE = "mixed", "mostly neutral", "somebody else first"

SCENARIOS: Final = (MIXED, *(f"{label} first" for label in LABELS), MOSTLY_NEUTRAL, SOMEBODY_ELSE)

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """One order."""

    scenario: str
    actor: int
    """Who speaks the utterances that count."""
    utterances: Indices
    """Indices of recordings, shape (60,); the last 40 count."""


def draw(
    actor: int,
    company: Sequence[int],
    actors: Indices,
    emotions: Indices,
    usable: npt.NDArray[np.bool_],
    orders: int,
    rng: np.random.Generator,
) -> Iterator[Plan]:
    """Draw `orders` orders of every scenario.

    What is heard first never counts later, but for the mixed order of an actor with fewer than 60 usable recordings.

    Args:
        actor: who speaks.
        company: actors of the same fold, of whom another one speaks first in `somebody else first`.
        actors: by recording, shape (recordings,), as `emotions` and `usable`.
        emotions: by recording.
        usable: whether the gate heard it as one utterance.
        orders: how many.
        rng: source of chance.
    """
    own = _by_emotion(actor, actors, emotions, usable)
    mine = np.concatenate(own)
    others = [other for other in company if other != actor]
    for _ in range(orders):
        shuffled = rng.permutation(mine)
        yield Plan(MIXED, actor, np.resize(shuffled, HEARD + COUNTED))
        for emotion, label in enumerate(LABELS):
            # Eight recordings an emotion are fewer than 20: half of them, again and again, the other half counts.
            first = _half(own[emotion], rng)
            rest = rng.permutation(np.setdiff1d(mine, first))
            utterances = np.concatenate((_repeat(first, HEARD, rng), np.resize(rest, COUNTED)))
            yield Plan(f"{label} first", actor, utterances)
        yield Plan(MOSTLY_NEUTRAL, actor, _mostly_neutral(own, rng))
        theirs = np.concatenate(_by_emotion(int(rng.choice(others)), actors, emotions, usable))
        utterances = np.concatenate((np.resize(rng.permutation(theirs), HEARD), np.resize(shuffled, COUNTED)))
        yield Plan(SOMEBODY_ELSE, actor, utterances)


def _by_emotion(actor: int, actors: Indices, emotions: Indices, usable: npt.NDArray[np.bool_]) -> list[Indices]:
    return [np.flatnonzero((actors == actor) & usable & (emotions == emotion)) for emotion in range(len(LABELS))]


def _half(recordings: Indices, rng: np.random.Generator) -> Indices:
    return rng.permutation(recordings)[: max(1, len(recordings) // 2)]


def _repeat(recordings: Indices, count: int, rng: np.random.Generator) -> Indices:
    return rng.choice(recordings, count) if len(recordings) else np.zeros(0, dtype=np.int64)


def _mostly_neutral(own: Sequence[Indices], rng: np.random.Generator) -> Indices:
    """70 % neutral and the rest alike, before and while it counts, from different recordings."""
    early = [_half(recordings, rng) for recordings in own]
    late = [np.setdiff1d(recordings, some) for recordings, some in zip(own, early, strict=True)]
    out = []
    for pools, count in ((early, HEARD), (late, COUNTED)):
        neutral = round(NEUTRAL_SHARE * count)
        others = rng.integers(1, len(LABELS), size=count - neutral)
        picked = [rng.choice(pools[0], neutral), *(rng.choice(pools[emotion], 1) for emotion in others)]
        out.append(rng.permutation(np.concatenate(picked)))
    return np.concatenate(out)
