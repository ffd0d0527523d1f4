"""The page of a report: one HTML file with everything in it, for readers who know nothing of networks."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from string import Template
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture and what is said about it."""

    name: str
    """Name of its PNG file, without the ending."""
    title: str
    caption: str
    """What it shows and how to read it, for a lay reader."""
    png: bytes | None
    """None: there is no picture, and the caption says why."""


# The policy makes the browser itself refuse any request of the page.
_PAGE: Final = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
body { font: 17px/1.55 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 52rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.7rem; line-height: 1.25; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .6rem; }
table { border-collapse: collapse; margin: 1rem 0; }
td { border-top: 1px solid #ddd; padding: .35rem .9rem .35rem 0; vertical-align: top; }
td:first-child { white-space: nowrap; font-weight: 600; }
figure { margin: 0; }
img { width: 100%; height: auto; }
figcaption, .absent { color: #333; }
.note { border-left: 4px solid #d55e00; padding: .1rem 0 .1rem 1rem; }
@media print { figure { break-inside: avoid; } h2 { break-after: avoid; } }
</style>
</head>
<body>
<h1>$title</h1>
$introduction
<table>
$figures
</table>
$notes
<h2>Known weaknesses</h2>
<ul>
$weaknesses
</ul>
$pictures
</body>
</html>
""")

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
    """The whole page.

    Args:
        title: plain text, as everything here.
        figures: names and values of the headline figures.
        notes: remarks that a reader must not miss.
        pictures: in the order of the page.
    """
    return _PAGE.substitute(
        title=escape(title),
        introduction="\n".join(f"<p>{escape(text)}</p>" for text in _INTRODUCTION),
        figures="\n".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in figures),
        notes="\n".join(f'<p class="note">{escape(text)}</p>' for text in notes),
        weaknesses="\n".join(f"<li>{escape(text)}</li>" for text in WEAKNESSES),
        pictures="\n".join(map(_section, pictures)),
    )


def _section(picture: Picture) -> str:
    heading = f"<h2>{escape(picture.title)}</h2>"
    if picture.png is None:
        return f'{heading}\n<p class="absent">{escape(picture.caption)}</p>'
    data = base64.b64encode(picture.png).decode()
    return (
        f'{heading}\n<figure id="{escape(picture.name)}">\n'
        f'<img alt="{escape(picture.title)}" src="data:image/png;base64,{data}">\n'
        f"<figcaption>{escape(picture.caption)}</figcaption>\n</figure>"
    )
