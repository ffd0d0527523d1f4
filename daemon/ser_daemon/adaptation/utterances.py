"""The last utterances, so that they can be corrected: what the network made of them, never their audio."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np

from ser_model.errors import SerError
from ser_model.types import EmotionResult, Estimate

KEPT: Final = 200
"""Utterances that are kept: those of about half an hour of conversation."""

LAST: Final = "last"
"""Names the last utterance."""

_NAME = re.compile(r"u-([1-9][0-9]{0,17})")

_PROBLEMS = {"too-short": "was too short", "unlike-speech": "was unlike speech"}


@dataclass(frozen=True, slots=True, eq=False)
class RecentUtterance:
    """An utterance that has ended."""

    utterance_id: str
    """As in the events: `u-7`."""
    estimate: Estimate | None
    """The network's own output; `None` if there was none, or if it says nothing."""
    problem: str
    """Why no example can be made of it; empty where one can."""
    answer: str
    """The label with the highest score, also where the label was `unknown`."""


class RecentUtterances:
    """The last `KEPT` utterances; it belongs to the inference thread."""

    def __init__(self) -> None:
        self._kept: deque[RecentUtterance] = deque(maxlen=KEPT)

    def add(self, utterance_id: str, result: EmotionResult) -> None:
        """Keep what was made of an utterance, from its final result."""
        problem, estimate = _PROBLEMS.get(result.reason or "", ""), result.estimate
        if estimate is None or not (np.isfinite(estimate.logits).all() and np.isfinite(estimate.embedding).all()):
            problem = problem or "was too short"
        self._kept.append(RecentUtterance(utterance_id, None if problem else estimate, problem, result.top))

    def find(self, name: str) -> RecentUtterance:
        """Return an utterance that an example can be made of.

        Args:
            name: as in the events, or `last`.

        Raises:
            SerError: it is not kept any more, was never heard, or no example can be made of it.
        """
        if not self._kept:
            raise SerError(f"{name} can't be corrected: no utterance is kept yet; the last {KEPT} are kept.")
        last = self._kept[-1]
        if name == LAST:
            found = last
        else:
            matches = [one for one in self._kept if one.utterance_id == name]
            if not matches:
                raise SerError(_absent(name, self._kept[0].utterance_id, last.utterance_id))
            found = matches[-1]
        if found.problem:
            called = f"{found.utterance_id}, the last utterance," if name == LAST else found.utterance_id
            raise SerError(f"{called} {found.problem}; such an utterance can't be corrected.")
        return found


def _absent(name: str, first: str, last: str) -> str:
    """Say why an utterance is not there."""
    number, oldest = _NAME.fullmatch(name), _NAME.fullmatch(first)
    if number and oldest and int(number[1]) < int(oldest[1]):
        return f"{name} is not kept any more: only the last {KEPT} utterances are, and {first} is the oldest of them."
    return f"There is no utterance {name}: the last one that has ended is {last}, and the last {KEPT} are kept."
