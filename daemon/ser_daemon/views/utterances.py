"""Utterances in the live view: the label in its colour, and the table of the last ones. Drawn with rich."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.table import Table
from rich.text import Text

from ser_daemon.views.text import describe_doubt
from ser_daemon.wire.events import Emotion
from ser_model.labels import UNKNOWN
from ser_model.printable import printable

COLOURS = {
    "neutral": "white",
    "calm": "cyan",
    "happy": "yellow",
    "sad": "blue",
    "angry": "red",
    "fearful": "magenta",
    "disgust": "green",
    "surprised": "bright_yellow",
    UNKNOWN: "bright_black",
}
"""Colour of each label."""


def label_text(emotion: Emotion) -> Text:
    """Return the label with its confidence, or `unknown` with the reason."""
    colour = COLOURS.get(emotion.label, "white")
    if emotion.label == UNKNOWN:
        return Text(UNKNOWN, style=colour).append(f" ({printable(describe_doubt(emotion))})")
    return Text(f"{printable(emotion.label)} {emotion.confidence:.2f}", style=f"bold {colour}")


def utterance_table(utterances: Sequence[Emotion], rows: int, *, activation: bool) -> Table:
    """Return a table of final results, the last one first, filled up with empty rows.

    Args:
        utterances: the results, the first one first.
        rows: number of rows.
        activation: whether the level of the activation has a column.
    """
    table = Table.grid(padding=(0, 2))
    for _ in range(4 if activation else 3):
        table.add_column(no_wrap=True)
    # In a narrow terminal, this column is shortened. Its text does not wrap either.
    table.add_column(overflow="ellipsis")
    for emotion in reversed(utterances):
        label = label_text(emotion)
        label.no_wrap = True
        duration = f"{(emotion.end - emotion.start) / 1000:.1f} s"
        table.add_row(
            Text(_local_time(emotion.time)),
            Text(printable(emotion.utterance_id)),
            Text(duration, justify="right"),
            *([_level_text(emotion)] if activation else []),
            label,
        )
    for _ in range(rows - len(utterances)):
        table.add_row()
    return table


def _level_text(emotion: Emotion) -> Text:
    """Return `high`, `low`, or a dash: the label has the word `unknown` already."""
    level = None if emotion.activation is None else emotion.activation.level
    return Text("-" if level in (None, UNKNOWN) else printable(level))


def _local_time(text: str) -> str:
    try:
        return datetime.fromisoformat(text).astimezone().strftime("%H:%M:%S")
    except (ValueError, OverflowError):
        return printable(text)
