"""Events as lines for other programs: CSV, and perception for the prompt of a language model."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

from ser_daemon.wire.events import Emotion, Event, Hello
from ser_model.labels import LABELS
from ser_model.perception import perception
from ser_model.printable import printable

Formatter = Callable[[Event], str | None]
"""Makes the line of an event; None where it has none."""

COLUMNS = (
    *("time", "seq", "type", "utterance_id", "final", "label", "reason", "top", "confidence"),
    *LABELS,
    *("calibrated", "arousal", "valence", "activation", "activation_probability", "start", "end", "timestamp"),
    *("latency_ms", "voiced_ms", "snr_db", "clipping", "adaptation", "taught", "state", "device", "retry_in_ms"),
    "dropped",
)
"""Columns of the CSV format: the fields of all events, with a column for the score of each label."""


def csv_header() -> str:
    """Return the first line of the CSV format."""
    return _csv(list(COLUMNS))


def csv_line(event: Event) -> str | None:
    """Return the row of an event; None for `hello`, which is no event."""
    if isinstance(event, Hello):
        return None
    values: dict[str, object] = {"type": event.type, **event.data()}
    if isinstance(event, Emotion):
        values |= event.scores
        activation = event.activation
        values["activation"] = None if activation is None else activation.level
        values["activation_probability"] = None if activation is None else activation.probability
    return _csv([_cell(values.get(column)) for column in COLUMNS])


def rcs_line(event: Event) -> str | None:
    """Return what is perceived, as `ser_model.perception` writes it; None where that is nothing."""
    if not isinstance(event, Emotion):
        return None
    activation = event.activation
    return perception(
        event.label, event.scores, None if activation is None else (activation.level, activation.probability)
    )


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return value
    # A spreadsheet would take the name of a device for a formula.
    text = printable(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _csv(values: list[object]) -> str:
    output = io.StringIO()
    csv.writer(output, lineterminator="").writerow(values)
    return output.getvalue()
