"""The offsets of features and logits that adapt the network to a speaker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ser_model.adaptation.taught_head import TaughtHead
from ser_model.features.features import SIZE
from ser_model.labels import LABELS
from ser_model.types import AdaptationName, Estimate, Frames

Logits = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class SpeakerOffset:
    """Offsets that hold for a whole utterance."""

    name: AdaptationName
    """Where the offsets come from."""
    features: npt.NDArray[np.float32]
    """Subtracted from every raw frame, shape (46,)."""
    logits: Logits
    """Subtracted from the logits, shape (8,)."""
    head: TaughtHead | None = None
    """What the speaker's own examples change about the logits; it comes before the offset."""

    @property
    def taught(self) -> int:
        """Examples behind the head."""
        return 0 if self.head is None else self.head.examples

    def apply_to_frames(self, frames: Frames) -> Frames:
        """Return the frames for the network, shape as given."""
        return frames - self.features

    def apply_head(self, estimate: Estimate) -> Logits:
        """Return the network's logits with what the head changes, shape (8,)."""
        return estimate.logits if self.head is None else self.head.apply(*estimate)

    def apply_to_logits(self, logits: Logits) -> Logits:
        """Return the logits for the decision, from those of `apply_head`."""
        return logits - self.logits


NO_OFFSET: Final = SpeakerOffset("none", np.zeros(SIZE, dtype=np.float32), np.zeros(len(LABELS), dtype=np.float32))
