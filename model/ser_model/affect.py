"""Arousal and valence as a fixed projection of the eight scores. They are not measured separately.

The module needs only the standard library.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, NamedTuple


class Affect(NamedTuple):
    """A point in the arousal-valence plane."""

    arousal: float
    """-1 (drowsy) to 1 (excited)."""
    valence: float
    """-1 (unpleasant) to 1 (pleasant)."""


DEGREES: Final[Mapping[str, float | None]] = {
    "neutral": None,
    "calm": 315.0,
    "happy": 22.5,
    "sad": 202.5,
    "angry": 112.5,
    "fearful": 135.0,
    "disgust": 157.5,
    "surprised": 67.5,
}
"""Approximate direction of each label on the circumplex of Russell (1980, doi 10.1037/h0077714); `None` is its centre.

The paper's directions are pleasure 0°, excitement 45°, arousal 90°, distress 135°, displeasure 180°, depression 225°,
sleepiness 270° and relaxation 315°. Other labels lie on the nearest of them or halfway between two.
"""

COORDINATES: Final[Mapping[str, Affect]] = {
    label: Affect(0.0, 0.0)
    if degrees is None
    else Affect(round(math.sin(math.radians(degrees)), 2), round(math.cos(math.radians(degrees)), 2))
    for label, degrees in DEGREES.items()
}
"""Arousal and valence of each label."""


def project(scores: Mapping[str, float]) -> Affect:
    """Return the mean of the labels' coordinates, weighted by their scores.

    Args:
        scores: posterior by label; they sum to 1.

    Examples:
        >>> project({"angry": 0.75, "neutral": 0.25})
        Affect(arousal=0.6900000000000001, valence=-0.28500000000000003)
    """
    return Affect(
        sum(score * COORDINATES[label].arousal for label, score in scores.items()),
        sum(score * COORDINATES[label].valence for label, score in scores.items()),
    )
