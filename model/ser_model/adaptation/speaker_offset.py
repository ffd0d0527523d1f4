"""What an utterance is judged by beside the network: offsets of its features and of its logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ser_model.features.features import SIZE
from ser_model.labels import LABELS
from ser_model.types import Frames

NONE, RUNNING, PROFILE = "none", "running", "profile"
"""What an answer may be adapted by: nothing, what was heard so far, a speaker's profile (and what was heard since)."""

Logits = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class SpeakerOffset:
    """What an utterance is judged by, from its first frame to its last."""

    name: str
    """`none`, `running` or `profile`."""
    features: npt.NDArray[np.float32]
    """Taken off every raw frame, shape (46,)."""
    logits: Logits
    """Taken off the logits, shape (8,)."""

    def frames(self, frames: Frames) -> Frames:
        """Frames as the graph shall see them, shape as given."""
        return frames - self.features

    def judged(self, logits: Logits) -> Logits:
        """Logits as the decision shall see them."""
        return logits - self.logits


IDENTITY: Final = SpeakerOffset(NONE, np.zeros(SIZE, dtype=np.float32), np.zeros(len(LABELS), dtype=np.float32))
