"""Check examples before they are used: enough of them, no copies, not all alike, one voice."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final

import numpy as np

from ser_calibration.teaching.guide import Spoken
from ser_model.adaptation.taught_head import TaughtExample
from ser_model.errors import SerError

FEWEST_EXAMPLES: Final = 2
"""Of each of two labels: one can be left out, and the other still teaches."""

LEAST_SPREAD: Final = 0.8
"""Root mean square distance of embeddings from their mean below which they are all alike.

The same recording over a noise 30 dB below it has 0.4 to 0.5. Twenty different sentences of one speaker and a single
emotion have 1.1 to 2.7 (EmoDB, nEMO, AESDD).
"""

_FEWEST_PITCHES: Final = 8
_SMALLEST_GROUP: Final = 0.2
"""Share of the utterances that the rarer voice must have."""
_EXPLAINED: Final = 0.7
"""Share of the variance of the pitch that two groups must explain."""
_OCTAVES: Final = 0.6
"""Distance of the means of the two groups."""
_GAP_OCTAVES: Final = 0.1
"""Distance between the highest pitch of the one group and the lowest of the other."""


def without_copies(examples: Sequence[TaughtExample]) -> list[TaughtExample]:
    """Return the examples with each recording once, in their order.

    Raises:
        SerError: the same recording has two labels.
    """
    kept: dict[tuple[float, ...], TaughtExample] = {}
    for one in examples:
        data = one.to_data()
        same = kept.setdefault((*data["logits"], *data["embedding"]), one)
        if same.label != one.label:
            raise SerError(f"The same recording is an example of {same.label} and of {one.label}; nothing was written.")
    return list(kept.values())


def check_examples(examples: Sequence[TaughtExample]) -> None:
    """Check that a head can be taught.

    Raises:
        SerError: there are too few examples, or all are alike.
    """
    counts = Counter(one.label for one in examples)
    if sum(count >= FEWEST_EXAMPLES for count in counts.values()) < 2:
        heard = ", ".join(f"{count} of {label}" for label, count in counts.items()) or "none"
        raise SerError(
            f"These examples are too few: expected {FEWEST_EXAMPLES} different ones of at least two labels, found "
            f"{heard}; nothing was written."
        )
    embeddings = np.array([one.embedding for one in examples])
    spread = float(np.sqrt(np.square(embeddings - embeddings.mean(axis=0)).sum(axis=1).mean()))
    if spread < LEAST_SPREAD:
        raise SerError(
            f"All {len(examples)} examples sound alike, so they teach nothing: say other sentences, each in its own "
            "tone; nothing was written."
        )


def sounds_like_two_voices(spoken: Sequence[Spoken]) -> bool:
    """Whether the pitch falls into two groups within the labels, as if two people had taken turns.

    Two groups of the pitches, each relative to the median of its label, must explain most of the variance (Otsu 1979,
    doi 10.1109/TSMC.1979.4310076), and lie far apart. With 24 utterances this finds a third of the pairs of a man and
    a woman in EmoDB and nEMO, and none of their single speakers; it finds 2 of 30 of AESDD's.
    """
    by_label: dict[str, list[float]] = defaultdict(list)
    for label, utterance in spoken:
        if utterance.octaves is not None:
            by_label[label].append(utterance.octaves)
    pitches = np.sort([octaves - np.median(values) for values in by_label.values() for octaves in values])
    total = float(np.square(pitches - pitches.mean()).sum()) if len(pitches) >= _FEWEST_PITCHES else 0.0
    if total == 0.0:
        return False
    fewest = max(3, round(_SMALLEST_GROUP * len(pitches)))
    for first in range(fewest, len(pitches) - fewest + 1):
        low, high = pitches[:first], pitches[first:]
        within = float(np.square(low - low.mean()).sum() + np.square(high - high.mean()).sum())
        far = high.mean() - low.mean() >= _OCTAVES and high[0] - low[-1] >= _GAP_OCTAVES
        if far and 1 - within / total >= _EXPLAINED:
            return True
    return False
