"""What reaches a terminal: events and answers of any server, device names, and the program's own sentences."""

from __future__ import annotations

import contextlib
import io
import json
import re
from typing import Any

from hypothesis import strategies as st
from rich.console import Console

from fuzz.invariants import MAX_PRINTED, check_printed, check_sentence, require
from fuzz.strategies import extremes, grown, odd_integers, odd_texts, to_json, to_text, values
from fuzz.target import register
from ser_daemon.cli import ctl_requests
from ser_daemon.client.wire import LineBuffer, PendingRequest, decode
from ser_daemon.views.live import LiveView
from ser_daemon.views.text import PlainView, describe_state
from ser_daemon.wire.events import EVENT_CLASSES, Event
from ser_daemon.wire.protocol import CaptureState
from ser_model import console
from ser_model.errors import SerError
from ser_model.labels import LABELS

STATES = [state.value for state in CaptureState]

texts = st.one_of(odd_texts, odd_texts, grown, extremes)
GOOD: dict[str, dict[str, Any]] = {
    "hello": {
        "server": "ser-daemon 1",
        "model": "m",
        "labels": list(LABELS),
        "state": "listening",
        "speaking": False,
        "muted": False,
    },
    "voice-started": {"utterance_id": "u-1", "timestamp": 1, "time": "2026-01-01T00:00:00.000Z"},
    "voice-stopped": {"utterance_id": "u-1", "timestamp": 1, "time": "2026-01-01T00:00:00.000Z"},
    "audio-state": {"state": "listening", "device": "mic"},
    "emotion": {
        "utterance_id": "u-1",
        "final": True,
        "label": "sad",
        "confidence": 0.5,
        "scores": dict.fromkeys(LABELS, 0.125),
        "start": 0,
        "end": 1000,
        "timestamp": 1000,
        "time": "2026-01-01T00:00:00.000Z",
        "latency_ms": 1.0,
        "voiced_ms": 500,
        "activation": {"level": "high", "probability": 0.9},
    },
}
FIELDS = sorted({name for cls in EVENT_CLASSES.values() for name in cls.__dataclass_fields__})
numbers = st.one_of(
    odd_integers, st.tuples(st.just("number"), st.sampled_from(["NaN", "1e999", "-1e999", "1e300"])), extremes
)
server_lines = st.one_of(
    st.tuples(
        st.sampled_from(list(GOOD)), st.dictionaries(st.sampled_from(FIELDS), texts | numbers | values, max_size=4)
    ),
    st.tuples(
        st.sampled_from(list(GOOD)),
        st.fixed_dictionaries(
            {},
            optional={
                "device": texts,
                "reason": texts,
                "state": st.sampled_from(STATES) | texts,
                "server": texts,
                "utterance_id": texts,
                "label": texts | st.just("unknown"),
                "top": texts,
                "time": texts,
                "confidence": numbers,
                "start": numbers,
                "end": numbers,
                "timestamp": numbers,
                "retry_in_ms": numbers,
                "activation": st.fixed_dictionaries(
                    {}, optional={"level": texts | st.just("low"), "probability": numbers | st.floats(0, 1)}
                ),
                "scores": st.dictionaries(st.sampled_from(LABELS) | texts.map(to_text), numbers, max_size=3),
            },
        ),
    ),
    st.tuples(st.just("error"), st.dictionaries(st.sampled_from(["code", "text"]), texts | values, max_size=2)),
)


def to_line(line: tuple[str, dict[str, Any]]) -> bytes:
    """A line of a server."""
    name, fields = line
    text = to_json({"type": name, "id": 1, "data": {**GOOD.get(name, {}), **fields}})
    return text.encode("utf-8", "surrogatepass") + b"\n"


_STYLE = re.compile(r"\x1b\[[0-9;]*[mHJKABCDlh?]|\x1b\[\?[0-9]+[lh]")


@register("watch", st.lists(server_lines, min_size=1, max_size=5), quick=150, seconds=4.0)
def check_watch(example: list[Any]) -> None:
    """Events of any server are shown without a control character of theirs, or refused with one sentence."""
    buffer, plain = LineBuffer(), io.StringIO()
    view, live = PlainView(plain), _live()
    for line in buffer.feed(b"".join(map(to_line, example))):
        try:
            event = decode(line)
        except SerError as error:
            check_sentence(error)
            continue
        if event is not None:
            _show(view, plain, live, event)


def _show(view: PlainView, plain: io.StringIO, live: LiveView, event: Event) -> None:
    plain.seek(0)
    plain.truncate()
    view.event(event)
    check_printed(plain.getvalue())
    live.event(event)
    drawn = Console(file=io.StringIO(), width=80, height=24, no_color=True)
    with drawn.capture() as capture:
        drawn.print(live.render())
    text = _STYLE.sub("", capture.get())
    check_printed(text, lines=40, limit=16_384)


def _live() -> LiveView:
    view = LiveView(io.StringIO())
    view.close()
    return view


ANSWER_FIELDS = ["state", "device", "reason", "speaking", "level_dbfs", "noise_floor_dbfs", "model", "version", "seq"]
ANSWER_FIELDS += ["uptime_seconds", "adaptation", "adaptation_seconds", "taught", "text", "ms", "ser", "error"]
answers = st.tuples(
    st.sampled_from(list(ctl_requests.COMMANDS)),
    st.one_of(
        st.dictionaries(st.sampled_from(ANSWER_FIELDS), texts | numbers | values, max_size=4),
        st.dictionaries(texts.map(to_text), texts | numbers, max_size=4),
        st.fixed_dictionaries(
            {
                "ser": st.lists(
                    st.dictionaries(st.sampled_from(["name", "version", "protocol", "models"]), values), max_size=2
                )
            }
        ),
    ),
)


@register("ctl", answers, quick=200, seconds=2.0)
def check_ctl(example: tuple[str, dict[str, Any]]) -> None:
    """Answers of any server are printed without a control character of theirs, or refused with one sentence."""
    command, fields = example
    line = to_json({"type": "x", "id": 1, "data": fields}).encode("utf-8", "surrogatepass") + b"\n"
    answer = PendingRequest(command, {}).feed(line)
    if answer is not None:
        check_printed(_described(command, answer), lines=64, limit=4 * MAX_PRINTED)
        require(json.dumps(answer).isascii(), "--json prints other than ASCII")


def _described(command: str, answer: dict[str, Any]) -> str:
    """What `ser-ctl` prints."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        console.say(ctl_requests.describe_answer(command, answer))
    return output.getvalue()


@register("sentences", st.tuples(texts, st.sampled_from(STATES), texts, texts), quick=200, seconds=2.0)
def check_sentences(example: tuple[Any, ...]) -> None:
    """A sentence that holds any text is printed as one line without control characters."""
    text, state, device, reason = example
    check_sentence(SerError(to_text(text)))
    stream = io.StringIO()
    view = PlainView(stream)
    view.message(to_text(text))
    check_printed(stream.getvalue())
    check_printed(describe_state(state, to_text(device), to_text(reason), 1))
