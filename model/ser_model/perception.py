"""A result as perception for a language model, as the Real-time Context Standard writes it."""

from __future__ import annotations

from collections.abc import Mapping

from ser_model.labels import UNKNOWN
from ser_model.printable import printable

MIN_SCORE = 0.1
"""Labels with a lower score are no perception worth the attention of a language model."""


def perception(label: str, scores: Mapping[str, float], activation: tuple[str, float] | None) -> str | None:
    """Return what is perceived; None where that is nothing.

    What is `unknown` is left out: a language model takes any number for a fact.

    Args:
        label: of the result.
        scores: by label.
        activation: level, and probability of high arousal; None: the model cannot say.

    Examples:
        >>> perception("angry", {"neutral": 0.2, "angry": 0.71, "sad": 0.09}, ("high", 0.84))
        '[emotion angry=0.71, neutral=0.20],[arousal value=0.84]'
        >>> perception("unknown", {"neutral": 0.2, "angry": 0.71, "sad": 0.09}, ("unknown", 0.5)) is None
        True
    """
    parts = []
    if label != UNKNOWN:
        likeliest = sorted(scores.items(), key=lambda item: -item[1])
        named = [f"{printable(name)}={score:.2f}" for name, score in likeliest if score >= MIN_SCORE]
        parts.append(f"[emotion {', '.join(named)}]")
    if activation is not None and activation[0] != UNKNOWN:
        parts.append(f"[arousal value={activation[1]:.2f}]")
    return ",".join(parts) or None
