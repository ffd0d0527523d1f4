"""How a reading is put to a language model."""

from __future__ import annotations

from ser_model.perception import perception
from ser_model.types import EmotionResult

INSTRUCTION = (
    "Before some of the user's messages a line says how the user's voice sounded, as estimated from the sound alone: "
    "[emotion ...] lists the likeliest emotions with their probabilities, [arousal value=...] is the probability of an "
    "agitated voice. It is a hint and often wrong. Let it shape the tone of your answer, never mention it, and never "
    "let it outweigh what the user says."
)
"""For the system prompt: what the lines mean."""


def as_text(result: EmotionResult | None) -> str | None:
    """Return a result as a language model reads it; None where there is nothing to say."""
    if result is None:
        return None
    activation = result.activation
    return perception(
        result.label, result.scores, None if activation is None else (activation.level, activation.probability)
    )


def message_of(result: EmotionResult | None) -> str | None:
    """Return the message that goes before the user's own; None where there is nothing to say."""
    text = as_text(result)
    return None if text is None else f"How the user's next message sounded: {text}"
