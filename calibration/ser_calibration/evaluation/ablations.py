"""Ablations of the adaptation: learning from the first utterances only, or not from them."""

from __future__ import annotations

from typing import Final

from ser_calibration.evaluation.scenarios import WARM_UP
from ser_model.adaptation.adaptation import Adaptation
from ser_model.adaptation.speaker_offset import Logits
from ser_model.scoring.logit_bias import FloatArray

AS_SHIPPED: Final = "as shipped"
"""Learns from all utterances. A profile of the first ones and further learning give the same result."""


class _FrozenProfile(Adaptation):
    """Learns from the first utterances only."""

    _utterances = 0

    def learn(self, total: FloatArray, frames: int, logits: Logits) -> None:
        self._utterances += 1
        if self._utterances <= WARM_UP:
            super().learn(total, frames, logits)


class _NoProfile(Adaptation):
    """Learns from the utterances after the first ones only."""

    _utterances = 0

    def learn(self, total: FloatArray, frames: int, logits: Logits) -> None:
        self._utterances += 1
        if self._utterances > WARM_UP:
            super().learn(total, frames, logits)


ABLATIONS: Final[dict[str, type[Adaptation]]] = {"a frozen profile": _FrozenProfile, "no profile": _NoProfile}
"""What the adaptation as shipped is compared with."""
