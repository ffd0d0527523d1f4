"""Runs a voice activity detector late, and on several frames at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np
import numpy.typing as npt

from ser_model.audio.vad import Frames, VoiceDetector

WARM_UP_FRAMES = 64
"""Frames that the detector gets late, when a sound ends a silence.

The detector does not run in silence: a frame below the noise floor's margin is unvoiced anyway, and the detector is
most of the gate's cost. 64 frames are two seconds. With a quarter of that, Silero takes every chord of soft music for
the beginning of speech.
"""

Scaled = tuple[npt.NDArray[np.float32], float]
"""A frame, shape (frame_samples,), and the factor that brings it to the detector's level in ±1."""


class LateDetector:
    """Gives the probabilities that a detector would give frame by frame, with fewer runs.

    Frames of which no probability is needed are kept, and run before the next one that is needed. The frames after that
    one run with it, as far as they are there, because one run on five frames costs little more than a run on one: the
    weights come from memory once. These frames may turn out not to be needed. Then the detector has only run on them
    sooner than otherwise: they would be next in any case, or are forgotten with `restart`. So the detector gets the
    same frames in the same order. Frames are multiplied by their factors, and clipped, only before a run: in silence
    most never need it.
    """

    def __init__(self, detector: VoiceDetector) -> None:
        self._detector = detector
        self._kept: deque[Scaled] = deque(maxlen=WARM_UP_FRAMES)
        """The frames after the last one that was needed."""
        self._ran = 0
        """Number of kept frames, the oldest ones, on which the detector ran."""
        self._known: deque[float] = deque()
        """Probabilities of the frames that come next."""

    def restart(self, frames: Iterable[Scaled]) -> None:
        """Forget all frames, as after a gap, and go on as if these had come."""
        kept = list(frames)
        self._detector.reset()
        self._known.clear()
        self._ran = 0
        self._kept.clear()
        self._kept.extend(kept)

    def skip(self, frame: npt.NDArray[np.float32], factor: float) -> None:
        """Process a frame, shape (frame_samples,), of which no probability is needed."""
        self._kept.append((frame, factor))
        if self._known:
            self._known.popleft()
            self._ran += 1

    def probability(self, coming: Frames, factors: Sequence[float]) -> float:
        """Process the first of the frames that come next, and return its speech probability.

        Args:
            coming: shape (n, frame_samples), n at least 1. Each further one must be given to `skip` or `probability`
                next, unless there is a `restart` before.
            factors: of these frames.
        """
        if len(self._kept) == WARM_UP_FRAMES:
            # After a longer silence only the last frames are left.
            self.restart(self._kept)
        if not self._known:
            late = list(islice(self._kept, self._ran, None))
            if late:
                coming = np.concatenate((np.stack([frame for frame, _ in late]), coming))
                factors = [*(factor for _, factor in late), *factors]
            self._known.extend(self._detector.probabilities(_scale(coming, factors))[len(late) :])
        self._kept.clear()
        self._ran = 0
        return self._known.popleft()


def _scale(frames: Frames, factors: Sequence[float]) -> Frames:
    scaled = frames * np.array(factors, dtype=np.float32)[:, None]
    np.minimum(scaled, 1.0, out=scaled)
    np.maximum(scaled, -1.0, out=scaled)
    return scaled
