"""Rolling windows over the frames of an utterance, as the live path cuts them."""

from __future__ import annotations

from ser_model.config import DecisionConfig
from ser_model.features.features import FRAME, HOP
from ser_model.types import Frames, to_samples


def window_frames(window_ms: int) -> int:
    """Number of frames that fit whole into `window_ms` milliseconds, at least 1."""
    return max(1, (to_samples(window_ms) - FRAME) // HOP + 1)


def update_ends(count: int, update_ms: int = DecisionConfig().update_ms) -> list[int]:
    """Number of frames available at each update within an utterance of `count` frames.

    The last frame is padded at the end of the utterance, when no update follows, and does not count.
    """
    ends = []
    received = to_samples(update_ms)
    while (end := (received - FRAME) // HOP + 1) < count:
        if end > 0:
            ends.append(end)
        received += to_samples(update_ms)
    return ends


def cut_windows(frames: Frames, window_ms: int, ends: list[int]) -> list[Frames]:
    """The last `window_ms` of frames at every update; windows near the start of the utterance are shorter."""
    length = window_frames(window_ms)
    return [frames[max(0, end - length) : end] for end in ends]
