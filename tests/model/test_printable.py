"""Text from elsewhere is escaped and bounded before a terminal shows it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_model import console
from ser_model.printable import LONGEST_LINE, printable, printable_lines

ANY = st.text(max_size=50) | st.text(alphabet=st.characters(categories=["Cc", "Cf", "Cs", "Zl"]), max_size=2_000)


@given(text=ANY, times=st.integers(1, 100))
def test_the_result_is_one_short_line_of_printable_characters(text: str, times: int) -> None:
    shown = printable(text * times)
    assert shown.isprintable()
    assert len(shown) <= LONGEST_LINE
    assert printable(shown) == shown


@given(text=st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=LONGEST_LINE))
def test_printable_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_escapes_are_those_of_python() -> None:
    assert printable("\x1b[2J\x9b\r\n\t\u202e\udc80 ü€😀") == r"\x1b[2J\x9b\r\n\t\u202e\udc80 ü€😀"


def test_the_middle_of_a_long_text_is_left_out() -> None:
    shown = printable("a" * 500_000 + "; put it in quotes")
    assert shown.startswith("aaa")
    assert " [...] " in shown
    assert shown.endswith("; put it in quotes")


def test_lines_stay_lines() -> None:
    assert printable_lines("a\n\x1bb\n") == "a\n\\x1bb\n"
    assert len(printable_lines("\x1b\n" * 100_000)) < 200_000
    assert max(map(len, printable_lines("x" * 50_000).split("\n"))) <= LONGEST_LINE


def test_messages_of_commands_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    console.report_error("name", "a\x1b[2J\nb")
    console.say("a\x1b[2J\nb")
    parser = console.ArgumentParser(prog="name")
    with pytest.raises(SystemExit):
        parser.parse_args(["\x1b[2J" + "x" * 500_000])
    captured = capsys.readouterr()
    assert captured.out == "a\\x1b[2J\nb\n"
    first, *_, last = captured.err.splitlines()
    assert first == r"name: a\x1b[2J\nb"
    assert last.startswith(r"name: error: unrecognized arguments: \x1b[2Jxxx")
    assert len(last) < 1_100
