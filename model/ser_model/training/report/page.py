"""The HTML page of a report, written for readers who do not know neural networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ser_model.html.page import bullets, figure, heading, paragraph, png_image, render_page, table


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture and its texts."""

    name: str
    """Name of the PNG file, without the suffix."""
    title: str
    caption: str
    """What the picture shows and how to read it."""
    png: bytes | None
    """`None`: there is no picture, and the caption gives the reason."""


_INTRODUCTION: Final = (
    "This is a small neural network that hears from the sound of a voice, not from the words, which of eight emotions "
    "it expresses: neutral, calm, happy, sad, angry, fearful, disgust or surprised. It is a ResLSTM-SA (arXiv "
    "2606.03359): two layers with a memory (LSTM) read the sound frame by frame, 23 times a second, and attention "
    "weighs which moments count for the answer.",
    "Everything below comes from speakers that the answering network had not heard: the 24 actors are divided into "
    "five groups, and the answers for each group come from networks trained without it. UAR (unweighted average "
    "recall) is the share recognised, averaged over the emotions, so that each counts the same; guessing gives 12.5 %.",
)

WEAKNESSES: Final = (
    "Acted speech: professional actors overplay. Everyday speech is mostly neutral, and less clear.",
    "Two sentences in North American English, from one studio; other languages, accents, ages and rooms are untested.",
    "24 voices, all adult: what is said here about a new voice rests on 24 examples.",
    "Eight labels are not all feelings, and a label is not a feeling.",
    "Neighbouring emotions (calm, neutral and sad; happy, fearful and surprised) are often taken for each other.",
)


def compose(title: str, figures: Sequence[tuple[str, str]], notes: Sequence[str], pictures: Sequence[Picture]) -> str:
    """Return the whole page.

    Args:
        title: plain text, as everything here.
        figures: names and values of the metrics at the head.
        notes: remarks that a reader must not miss.
        pictures: in the order of the page.
    """
    parts = [
        *(paragraph(text) for text in _INTRODUCTION),
        table(figures),
        *(paragraph(text, "note") for text in notes),
        heading("Known weaknesses"),
        bullets(WEAKNESSES),
        *map(_section, pictures),
    ]
    return render_page(title, parts)


def _section(picture: Picture) -> str:
    if picture.png is None:
        return f"{heading(picture.title)}\n{paragraph(picture.caption, 'absent')}"
    return figure(picture.title, png_image(picture.png, picture.title), picture.caption, picture.name)
