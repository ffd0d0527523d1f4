"""Durations with units: exact, in the unit that is asked for, and never a surprise for plain numbers."""

from __future__ import annotations

import argparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_model.command_line import duration
from ser_model.durations import in_unit, misses_unit


@pytest.mark.parametrize(
    ("text", "milliseconds", "seconds"),
    [
        ("500ms", "500", "0.5"),
        ("5s", "5000", "5"),
        ("0.7s", "700", "0.7"),
        ("1.5 min", "90000", "90"),
        ("2h", "7200000", "7200"),
        (".1s", "100", "0.1"),
        ("0s", "0", "0"),
        ("1.5ms", "1.5", "0.0015"),
    ],
)
def test_a_duration_is_converted_exactly(text: str, milliseconds: str, seconds: str) -> None:
    assert (in_unit(text, "ms"), in_unit(text, "s")) == (milliseconds, seconds)


@pytest.mark.parametrize("text", ["700", "-5", "1e3", "5m", "5sec", "s", "", "5 s s", "-1s", "1_0s", "٣s"])
def test_any_other_text_stays_as_it_is(text: str) -> None:
    assert in_unit(text, "ms") == text


@given(st.text(max_size=30) | st.from_regex(r"[0-9]*\.?[0-9]* ?(ms|s|min|h)", fullmatch=True))
def test_the_result_is_the_text_or_a_plain_number(text: str) -> None:
    for unit in ("ms", "s"):
        result = in_unit(text, unit)
        assert result == text or float(result) >= 0


def test_a_unit_that_there_is_not_is_recognised() -> None:
    assert [text for text in ("5sec", "5m", "5s", "5", "soon", "5 days") if misses_unit(text)] == [
        "5sec",
        "5m",
        "5 days",
    ]


def test_an_option_names_its_range_and_the_units() -> None:
    convert = duration("s", 0, 3600)
    assert (convert("10"), convert("500ms"), convert("1h")) == (10.0, 0.5, 3600.0)
    for text in ("0", "2h", "nan", "-1", "5m", ""):
        with pytest.raises(argparse.ArgumentTypeError) as caught:
            convert(text)
        assert str(caught.value) == (
            f"expected more than 0 and at most 3600 seconds, or a number with ms, s, min or h, got {text!r}"
        )
