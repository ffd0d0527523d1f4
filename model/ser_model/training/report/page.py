"""The HTML page of a report, written for readers who do not know neural networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
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


NETWORK: Final = (
    "This is a small neural network that hears from the sound of a voice, not from the words, which of eight emotions "
    "it expresses: neutral, calm, happy, sad, angry, fearful, disgust or surprised. It is a ResLSTM-SA (arXiv "
    "2606.03359): two layers with a memory (LSTM) read the sound frame by frame, 23 times a second, and attention "
    "weighs which moments count for the answer."
)
"""First paragraph of every report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A page; all texts are plain."""

    title: str
    introduction: Sequence[str]
    figures: Sequence[tuple[str, str]]
    """Names and values of the metrics at the head."""
    notes: Sequence[str]
    """Remarks that a reader must not miss."""
    weaknesses: Sequence[str]
    pictures: Sequence[Picture]
    """In the order of the page."""


def write_report(report: Report, folder: Path) -> Path:
    """Write index.html, and the PNG file of each picture beside it; return the path of the page."""
    folder.mkdir(parents=True, exist_ok=True)
    for picture in report.pictures:
        path = folder / f"{picture.name}.png"
        if picture.png is None:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(picture.png)
    page = folder / "index.html"
    page.write_text(compose(report), encoding="utf-8")
    return page


def compose(report: Report) -> str:
    """Return the whole page."""
    parts = [
        *(paragraph(text) for text in report.introduction),
        table(report.figures),
        *(paragraph(text, "note") for text in report.notes),
        heading("Known weaknesses"),
        bullets(report.weaknesses),
        *map(_section, report.pictures),
    ]
    return render_page(report.title, parts)


def _section(picture: Picture) -> str:
    if picture.png is None:
        return f"{heading(picture.title)}\n{paragraph(picture.caption, 'absent')}"
    return figure(picture.title, png_image(picture.png, picture.title), picture.caption, picture.name)
