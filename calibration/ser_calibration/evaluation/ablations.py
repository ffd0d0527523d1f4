"""Adaptation that takes part of what it hears: with the first utterances as a speaker's profile, or without them."""

from __future__ import annotations

from typing import Final

from ser_calibration.evaluation.scenarios import HEARD
from ser_model.adaptation.adaptation import Adaptation
from ser_model.adaptation.speaker_offset import Logits
from ser_model.scoring.logit_bias import Numbers

AS_SHIPPED: Final = "as shipped"
"""Learns from the first utterances and goes on: also what a speaker's profile made from them does while learning."""


class _Frozen(Adaptation):
    """Learns from the first utterances only."""

    _told = 0

    def learn(self, total: Numbers, frames: int, logits: Logits) -> None:
        self._told += 1
        if self._told <= HEARD:
            super().learn(total, frames, logits)


class _Anew(Adaptation):
    """Learns from what comes after the first utterances only."""

    _told = 0

    def learn(self, total: Numbers, frames: int, logits: Logits) -> None:
        self._told += 1
        if self._told > HEARD:
            super().learn(total, frames, logits)


BEGINNINGS: Final[dict[str, type[Adaptation]]] = {"a frozen profile": _Frozen, "no profile": _Anew}
"""What the adaptation as shipped is compared with."""
