"""Events as CSV, and as perception for the prompt of a language model."""

from __future__ import annotations

import csv
import io
from dataclasses import fields

import pytest

from ser_daemon.watch.formats import COLUMNS, csv_header, csv_line, rcs_line
from ser_daemon.wire.events import EVENT_CLASSES, Activation, AudioState, Hello
from ser_daemon.wire.protocol import CaptureState
from support.commands import run
from support.talk import FINALS, TALK, entries

SCORES = {"neutral": 0.20, "angry": 0.71, "sad": 0.09}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"activation": Activation(level="high", probability=0.84)},
            "[emotion angry=0.71, neutral=0.20],[arousal value=0.84]",
        ),
        ({"activation": Activation(level="low", probability=0.07)}, None),
        ({"activation": Activation(level="unknown", probability=0.5)}, "[emotion angry=0.71, neutral=0.20]"),
        ({}, "[emotion angry=0.71, neutral=0.20]"),
        ({"label": "unknown", "activation": Activation(level="high", probability=0.9)}, "[arousal value=0.90]"),
        ({"label": "unknown", "activation": Activation(level="unknown", probability=0.6)}, ""),
        ({"label": "unknown"}, ""),
    ],
)
def test_perception_names_what_is_known_and_nothing_that_is_unknown(emotion, changes, line):
    event = emotion(scores=SCORES, confidence=0.71, **changes)
    expected = "[emotion angry=0.71, neutral=0.20],[arousal value=0.07]" if line is None else line or None
    assert rcs_line(event) == expected


def test_other_events_are_no_perception(started, stopped):
    assert rcs_line(started) is None
    assert rcs_line(stopped) is None


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_every_field_of_every_event_has_a_column():
    names = {field.name for cls in EVENT_CLASSES.values() if cls is not Hello for field in fields(cls)}
    assert names - set(COLUMNS) == {"scores"}
    assert csv_header() == ",".join(COLUMNS)


def test_csv_has_a_row_for_each_event_with_the_values_of_the_event():
    done = run("ser-watch", "--replay", str(TALK), "--fast", "--format", "csv")
    assert (done.code, done.err) == (0, "")
    table, events = rows(done.out), [entry.event for entry in entries()][1:]
    assert [row["type"] for row in table] == [event.type for event in events]
    finals = [row for row in table if row["final"] == "true"]
    assert [row["label"] for row in finals] == FINALS
    assert finals[1]["angry"] == finals[1]["confidence"]
    assert (finals[1]["activation"], finals[1]["clipping"]) == ("high", "true")
    assert table[-1]["state"] == "stopping"


def test_a_name_that_a_spreadsheet_would_take_for_a_formula_is_text():
    device = '=cmd|"calc"\n'
    state = AudioState(state=CaptureState.MUTED, device=device, timestamp=7, time="2026-11-22T08:44:01.123Z")
    (row,) = rows(f"{csv_header()}\n{csv_line(state)}\n")
    assert row["device"] == '\'=cmd|"calc"\\n'


def test_perception_is_printed_for_finals_only_where_that_is_wanted():
    done = run("ser-watch", "--replay", str(TALK), "--fast", "--finals", "--format", "rcs")
    lines = done.out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("[emotion angry=0.6")
    assert lines[1].startswith("[arousal value=0.8")
