"""What the speaker is asked to say: labels, sentences, and their order."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ser_model.errors import SerError
from ser_model.labels import LABELS

DEFAULT_LABELS: Final = ("neutral", "happy", "sad", "angry")


SENTENCES: Final = (
    "The bus to the station leaves at ten past eight.",
    "There are two cups on the kitchen table.",
    "I put the letters on the shelf by the door.",
    "The shop on the corner opens at nine.",
    "We have moved the meeting to the small room.",
    "The keys are in the pocket of my coat.",
    "It takes about an hour to get there by train.",
    "The window in the hall is open.",
    "My sister is coming over on Thursday.",
    "The parcel went to the people next door.",
    "I will be back at a quarter to seven.",
    "The washing machine has just finished.",
    "They have painted the fence behind the house.",
    "The book is on the chair beside the lamp.",
    "Next week the road will be closed.",
    "She has taken the blue bag with her.",
    "The phone is charging in the other room.",
    "We still have bread and a little cheese.",
    "The children walk home along the river.",
    "He told me that on the phone yesterday.",
    "The light in the corridor goes out by itself.",
    "I have written the number on the calendar.",
    "The neighbours have a new car.",
    "It is going to rain in the afternoon.",
)
"""Everyday sentences that suit any tone. Each has one to three seconds of speech."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One thing to say."""

    label: str
    """The tone, one of `LABELS`."""
    sentence: str


def parse_labels(text: str) -> tuple[str, ...]:
    """Parse labels between commas or spaces; `neutral` is always among them.

    Raises:
        SerError: one is unknown, or there is no other than `neutral`.
    """
    names = [name.lower() for name in text.replace(",", " ").split()]
    unknown = [name for name in names if name not in LABELS]
    if unknown:
        raise SerError(f"The label {unknown[0]!r:.40} is unknown; expected two or more of {', '.join(LABELS)}.")
    chosen = tuple(label for label in LABELS if label in names or label == "neutral")
    if len(chosen) < 2:
        raise SerError("One label alone teaches nothing: name at least one other than neutral.")
    return chosen


def make_prompts(labels: Sequence[str], rounds: int, generator: random.Random) -> list[Prompt]:
    """Return every label once a round, in mixed order, with sentences that do not repeat soon.

    Args:
        labels: at least two.
        rounds: how often each label comes.
        generator: of the order.
    """
    order: list[str] = []
    for _ in range(rounds):
        mixed = list(labels)
        generator.shuffle(mixed)
        if order and mixed[0] == order[-1]:
            # The same tone twice in a row would be said in one go.
            mixed.append(mixed.pop(0))
        order += mixed
    sentences: list[str] = []
    while len(sentences) < len(order):
        sentences += generator.sample(SENTENCES, len(SENTENCES))
    return [Prompt(label, sentence) for label, sentence in zip(order, sentences, strict=False)]
