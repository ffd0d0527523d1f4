"""A detector that runs late and ahead gives what it would give frame by frame."""

from __future__ import annotations

from collections import deque

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_model.audio.late_detector import WARM_UP_FRAMES, LateDetector
from ser_model.audio.vad import Frames

UNIT = 2.0**-14
"""Number 1 as a sample, so that all numbers are in ±1."""

steps = st.lists(
    st.one_of(
        st.tuples(st.just("need"), st.integers(1, 20)),
        st.tuples(st.just("skip"), st.integers(1, 2 * WARM_UP_FRAMES)),
        st.tuples(st.just("restart"), st.integers(0, WARM_UP_FRAMES)),
    ),
    max_size=30,
)


class History:
    """Its probability depends on all frames since the last reset, and on their order."""

    frame_samples = 1

    def __init__(self) -> None:
        self.runs = 0
        self.reset()

    def probabilities(self, frames: Frames) -> list[float]:
        self.runs += 1
        return [self._next(float(frame[0]) / UNIT) for frame in frames]

    def _next(self, value: float) -> float:
        self._sum = (31 * self._sum + value) % 1_000_003
        return self._sum / 1_000_003

    def reset(self) -> None:
        self._sum = 7.0


class FrameByFrame:
    """The rule without runs ahead: skipped frames are run late, as many as are kept, when one is needed."""

    def __init__(self) -> None:
        self._detector = History()
        self._skipped: deque[np.ndarray] = deque(maxlen=WARM_UP_FRAMES)

    def restart(self, frames: list[np.ndarray]) -> None:
        self._detector.reset()
        self._skipped.clear()
        self._skipped.extend(frames)

    def skip(self, frame: np.ndarray) -> None:
        self._skipped.append(frame)

    def probability(self, frame: np.ndarray) -> float:
        if len(self._skipped) == WARM_UP_FRAMES:
            self._detector.reset()
        for skipped in self._skipped:
            self._detector.probabilities(skipped[None])
        self._skipped.clear()
        return self._detector.probabilities(frame[None])[0]


def frames_from(first: int, count: int) -> Frames:
    """Frames of one sample, which is their number in the stream."""
    return np.arange(first, first + count, dtype=np.float32)[:, None] * np.float32(UNIT)


@settings(max_examples=200, deadline=None)
@given(steps, st.integers(1, 16))
def test_every_probability_is_the_one_that_frame_by_frame_gives(plan: list[tuple[str, int]], ahead: int) -> None:
    late, plain = LateDetector(History()), FrameByFrame()
    at = 0
    for kind, count in plan:
        frames = frames_from(at, count)
        if kind == "restart":
            late.restart((frame, 1.0) for frame in frames)
            plain.restart(list(frames))
            continue
        for index, frame in enumerate(frames):
            if kind == "skip":
                late.skip(frame, 1.0)
                plain.skip(frame)
            else:
                # More frames come than this step needs: the next step may skip or forget them.
                coming = frames_from(at + index, ahead - index % ahead)
                assert late.probability(coming, [1.0] * len(coming)) == plain.probability(frame)
        at += count


def test_frames_that_are_there_are_run_at_once() -> None:
    detector = History()
    late = LateDetector(detector)
    frames = frames_from(0, 5)
    for index in range(5):
        late.probability(frames[index:], [1.0] * (5 - index))
    assert detector.runs == 1


def test_skipped_frames_are_run_with_those_that_follow() -> None:
    detector = History()
    late = LateDetector(detector)
    for frame in frames_from(0, 100):
        late.skip(frame, 1.0)
    assert detector.runs == 0
    late.probability(frames_from(100, 5), [1.0] * 5)
    assert detector.runs == 1


def test_a_frame_that_was_run_ahead_but_not_needed_is_not_run_again() -> None:
    detector, plain = History(), FrameByFrame()
    late = LateDetector(detector)
    frames = frames_from(0, 5)
    late.probability(frames, [1.0] * 5)
    plain.probability(frames[0])
    for frame in frames[1:]:
        late.skip(frame, 1.0)
        plain.skip(frame)
    assert late.probability(frames_from(5, 5), [1.0] * 5) == plain.probability(frames_from(5, 1)[0])
    assert detector.runs == 2


def test_the_detector_gets_each_frame_with_its_factor_and_within_full_scale() -> None:
    class Recorder(History):
        def probabilities(self, frames: Frames) -> list[float]:
            self.heard = frames[:, 0].tolist()
            return super().probabilities(frames)

    detector = Recorder()
    late = LateDetector(detector)
    late.skip(np.array([0.25], np.float32), 2.0)
    late.probability(np.array([[0.25], [-0.5], [0.5]], np.float32), [1.0, 4.0, 4.0])
    assert detector.heard == [0.5, 0.25, -1.0, 1.0]
