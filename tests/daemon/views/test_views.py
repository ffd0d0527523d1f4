"""The plain view and the live view."""

from __future__ import annotations

import dataclasses
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from ser_daemon.views.live import UTTERANCES, LiveView
from ser_daemon.views.text import describe, describe_state
from ser_daemon.views.view import PlainView, make_view
from ser_daemon.wire.events import Activation, AudioState, Hello
from ser_daemon.wire.protocol import CaptureState
from ser_model.labels import LABELS


class Terminal(io.StringIO):
    @property
    def encoding(self) -> str:
        return "utf-8"

    def isatty(self) -> bool:
        return True


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hello() -> Hello:
    return Hello(
        server="ser-daemon 0.2.0",
        model="reslstm-sa-h64",
        labels=LABELS,
        state=CaptureState.LISTENING,
        speaking=False,
        muted=False,
        device="USB Mic",
    )


@pytest.fixture
def live(monkeypatch):
    """A live view on a terminal of 80 by 24, and a function that renders it."""
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}.items():
        monkeypatch.setenv(name, value)
    terminal, clock = Terminal(), Clock()
    view = LiveView(terminal, clock)

    def render() -> list[str]:
        console = Console(file=io.StringIO(), width=80, height=24)
        with console.capture() as capture:
            console.print(view.render())
        return capture.get().splitlines()

    yield view, terminal, clock, render
    view.close()


def test_plain_lines_describe_events(emotion, started, stopped, hello):
    assert describe(started) == "182.340 s  u-17  speech"
    assert describe(emotion()) == "185.341 s  u-17  angry 0.58 (so far, 3.0 s)"
    assert describe(emotion(final=True, end=185240)) == "185.341 s  u-17  angry 0.58 (final, 2.9 s)"
    doubt = emotion(final=True, label="unknown", reason="low-confidence", top="sad", confidence=0.31)
    assert describe(doubt) == "185.341 s  u-17  unknown (final, 3.0 s; low confidence, perhaps sad 0.31)"
    assert describe(stopped) == "187.100 s  u-17  silence"
    assert describe(hello) == "ser-daemon 0.2.0, model reslstm-sa-h64: listening on USB Mic"


@pytest.mark.parametrize(
    ("level", "probability", "text"),
    [
        ("high", 0.934, "  activation high 93 %"),
        ("low", 0.066, "  activation low 93 %"),
        ("unknown", 0.55, ""),
        ("extreme\x1b", 1.0, "  activation extreme\\x1b"),
    ],
)
def test_plain_lines_end_with_an_activation_that_is_known(emotion, level, probability, text):
    activation = Activation(level=level, probability=probability)
    assert describe(emotion(activation=activation)) == "185.341 s  u-17  angry 0.58 (so far, 3.0 s)" + text
    doubt = emotion(label="unknown", reason="low-confidence", top="sad", confidence=0.31, activation=activation)
    line = "185.341 s  u-17  unknown (so far, 3.0 s; low confidence, perhaps sad 0.31)"
    assert describe(doubt) == line + text


def test_plain_lines_explain_the_state_of_the_microphone():
    gone = AudioState(
        state=CaptureState.NO_DEVICE, device="USB Mic", reason="It was unplugged.", retry_in_ms=2000, timestamp=4200
    )
    assert describe(gone) == "4.200 s  no microphone (USB Mic): It was unplugged; trying again in 2 s"
    assert describe_state("muted", None) == "muted: the microphone is closed"


def test_plain_lines_are_in_the_order_of_time(emotion, started, stopped, hello):
    stream = io.StringIO()
    view = PlainView(stream)
    final = emotion(final=True, timestamp=187_804)
    gone = AudioState(state=CaptureState.MUTED, timestamp=187_000)
    for event in (hello, started, emotion(timestamp=187_300), final, stopped, gone, hello, started):
        view.event(event)
    lines = [line.split("  ", 1) for line in stream.getvalue().splitlines()]
    assert [line[0] for line in lines if len(line) > 1] == [
        "182.340 s", "187.300 s", "187.804 s", "187.804 s", "187.804 s", "182.340 s",
    ]  # fmt: skip
    assert lines[4][1] == "u-17  silence since 187.100 s"
    assert lines[5][1] == "muted: the microphone is closed"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(times=st.lists(st.integers(0, 10_000), max_size=20), kinds=st.lists(st.integers(0, 3), min_size=20, max_size=20))
def test_the_first_column_never_goes_back(emotion, started, stopped, times, kinds):
    stream = io.StringIO()
    view = PlainView(stream)
    events = (emotion(), started, stopped, AudioState(state=CaptureState.MUTED, timestamp=0))
    for time, kind in zip(times, kinds, strict=False):
        view.event(dataclasses.replace(events[kind], timestamp=time))
    shown = [float(line.split(" s  ")[0]) for line in stream.getvalue().splitlines()]
    assert shown == sorted(shown)


def test_lost_lines_are_reported(emotion):
    assert describe(emotion(dropped=3)).endswith("[3 lines lost before this]")


def test_control_characters_of_a_device_name_do_not_reach_the_terminal():
    assert "\x1b" not in describe(AudioState(state=CaptureState.LISTENING, device="Mic\x1b[2J\r"))


def test_without_a_terminal_the_view_is_plain(emotion):
    stream = io.StringIO()
    view = make_view(False, stream)
    assert isinstance(view, PlainView)
    view.level(-20.0, -60.0)
    view.event(emotion())
    view.close()
    assert stream.getvalue() == "185.341 s  u-17  angry 0.58 (so far, 3.0 s)\n"
    assert isinstance(make_view(True, Terminal()), PlainView)


def test_a_terminal_that_cannot_draw_gets_plain_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(make_view(False, Terminal()), PlainView)


def test_the_live_view_fits_a_terminal_of_80_by_24(live, hello, emotion, started):
    view, _terminal, _clock, render = live
    view.event(hello)
    for number in range(9):
        view.event(started)
        view.event(emotion(final=True, utterance_id=f"u-{number}", reason=None))
    view.level(-25.0, -60.0)
    lines = render()
    assert len(lines) < 24
    assert {len(line) for line in lines} == {80}


def test_the_live_view_shows_state_level_scores_and_the_last_six_utterances(live, hello, emotion, started):
    view, _terminal, _clock, render = live
    view.event(hello)
    for number in range(8):
        view.event(emotion(final=True, utterance_id=f"u-{number}"))
    view.event(started)
    view.event(emotion(label="unknown", reason="low-confidence", top="angry"))
    view.level(-25.0, -60.0)
    lines = render()
    text = "\n".join(lines)
    assert "listening on USB Mic" in text
    assert "-25 dBFS  ● speech" in text
    assert "so far: unknown (low confidence, perhaps angry 0.58)" in text
    assert [label for line in lines for label in LABELS if line.startswith(f"│ {label} ")] == list(LABELS)
    assert [f"u-{number} " in text for number in range(8)] == [False, False, *[True] * 6]


def activation_lines(lines: list[str]) -> list[str]:
    return [line.strip("│ ") for line in lines if "activation" in line]


def test_the_live_view_shows_no_activation_of_a_model_that_has_none(live, hello, emotion):
    view, _terminal, _clock, render = live
    for event in (hello, emotion(), emotion(final=True)):
        view.event(event)
        assert activation_lines(render()) == []


def test_the_live_view_shows_the_activation_below_the_scores_and_of_each_utterance(live, hello, emotion, started):
    view, _terminal, _clock, render = live
    view.event(hello)
    doubt = {"label": "unknown", "reason": "low-confidence", "top": "surprised", "confidence": 0.31, "end": 192_240}
    view.event(emotion(final=True, utterance_id="u-1"))
    for number, (level, probability) in enumerate((("high", 0.93), ("low", 0.07), ("unknown", 0.5)), 2):
        activation = Activation(level=level, probability=probability)
        view.event(emotion(final=True, utterance_id=f"u-{number}", activation=activation, **doubt))
        shown = {"high": "high 93 %", "low": "low 93 %", "unknown": "unknown"}[level]
        assert activation_lines(render())[0] == f"activation {shown}"
    lines = render()
    assert [" ".join(line.strip("│ ").split()[1:]) for line in lines[-7:-3]] == [
        "u-4 9.9 s - unknown (low confidence, perhaps surprised 0.31)",
        "u-3 9.9 s low unknown (low confidence, perhaps surprised 0.31)",
        "u-2 9.9 s high unknown (low confidence, perhaps surprised 0.31)",
        "u-1 3.0 s - angry 0.58",
    ]
    assert len(lines) < 24
    assert {len(line) for line in lines} == {80}
    # The line stays while the next utterance has no result, so that nothing jumps.
    view.event(started)
    assert activation_lines(render())[0] == "activation -"
    # Another daemon, perhaps with another model.
    view.event(hello)
    view.event(emotion())
    assert activation_lines(render()) == []


def test_the_level_bar_grows_with_the_level_and_is_empty_without_one(live):
    view, _terminal, _clock, render = live
    lengths = []
    for level in (None, float("-inf"), -70.0, -40.0, -10.0, 6.0):
        view.level(level, None)
        lengths.append(render()[2].count("█"))
    assert lengths == sorted(lengths)
    assert lengths[:2] == [0, 0]
    assert len(set(lengths[2:])) == 4


def test_the_noise_floor_is_marked(live):
    view, _terminal, _clock, render = live
    view.level(-80.0, -60.0)
    low = render()[2].index("┃")
    view.level(-80.0, -30.0)
    assert render()[2].index("┃") > low


def test_speech_ends_with_the_utterance_or_with_the_microphone(live, started, stopped):
    view, _terminal, _clock, render = live
    for end in (stopped, AudioState(state=CaptureState.MUTED)):
        view.event(started)
        assert "● speech" in render()[2]
        view.event(end)
        assert "● silence" in render()[2]


def test_the_live_view_is_drawn_at_most_ten_times_a_second(live, emotion):
    view, terminal, clock, _render = live
    drawn = []
    for _ in range(100):
        before = len(terminal.getvalue())
        view.event(emotion())
        drawn.append(len(terminal.getvalue()) > before)
        clock.now += 0.01
    assert 9 <= sum(drawn) <= 11


def test_closing_restores_the_terminal_and_prints_the_last_state(live, emotion):
    view, terminal, _clock, _render = live
    view.event(emotion(final=True))
    assert "\x1b[?1049h" in terminal.getvalue()
    view.close()
    view.close()
    after = terminal.getvalue().split("\x1b[?1049l")
    assert len(after) == 2
    assert "\x1b[?25h" in terminal.getvalue()
    assert after[1].count("angry 0.58") == 2
    view.event(emotion())
    assert terminal.getvalue().endswith(after[1])


REMEDY = (
    "No daemon is running: nobody listens on /run/user/1000/ser-daemon/ser.sock. Start one with "
    "`ser-daemon --mic default`, `systemctl --user start ser-daemon` or `sudo systemctl start ser-daemon`."
)


@pytest.mark.parametrize("width", [40, 80])
def test_a_remedy_is_shown_whole_in_a_narrow_terminal(monkeypatch, emotion, width):
    for name, value in {"TERM": "xterm-256color", "COLUMNS": str(width), "LINES": "24"}.items():
        monkeypatch.setenv(name, value)
    view = LiveView(Terminal(), Clock())
    for number in range(UTTERANCES):
        view.event(emotion(final=True, utterance_id=f"u-{number}"))
    view.message(REMEDY)
    console = Console(file=io.StringIO(), width=width, height=24)
    with console.capture() as capture:
        console.print(view.render())
    view.close()
    lines = capture.get().splitlines()
    words = " ".join(line.strip("│ ") for line in lines)
    assert [word for word in REMEDY.split() if word not in words] == []
    assert f"u-{UTTERANCES - 1}" in words
    assert max(map(cell_len, lines)) <= width
    assert len(lines) <= 24


def test_a_sentence_of_the_program_is_wrapped_in_a_terminal_only():
    terminal, plain = Terminal(), io.StringIO()
    PlainView(terminal).message(REMEDY)
    PlainView(plain).message(REMEDY)
    assert max(map(len, terminal.getvalue().splitlines())) <= 80
    assert terminal.getvalue().split() == REMEDY.split()
    assert plain.getvalue() == f"{REMEDY}\n"
