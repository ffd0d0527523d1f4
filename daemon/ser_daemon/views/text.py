"""Events as plain lines of text."""

from __future__ import annotations

import os
import textwrap
from typing import TextIO

from ser_daemon.wire.events import Activation, AudioState, Emotion, Event, Hello, VoiceStarted, VoiceStopped
from ser_daemon.wire.protocol import CaptureState
from ser_model.labels import UNKNOWN
from ser_model.printable import printable

_STATES: dict[str, str] = {
    CaptureState.MUTED: "muted: the microphone is closed",
    CaptureState.HELD: "held: ignoring what is heard",
    CaptureState.NO_DEVICE: "no microphone",
    CaptureState.SILENT: "the microphone gives digital silence; is it muted in the mixer?",
}
"""States in words, where their name says too little."""


class PlainView:
    """Writes a line per event, in the order of time; does not show levels."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._latest = 0

    def event(self, event: Event) -> None:
        """Write the line of an event, unbuffered."""
        if isinstance(event, Hello):
            # Of a daemon that has started again, whose clock begins at 0.
            self._latest = 0
        self._line(describe(event, self._latest))
        self._latest = max(self._latest, getattr(event, "timestamp", None) or 0)

    def level(self, dbfs: float | None, noise_floor_dbfs: float | None) -> None:
        """Do nothing."""

    def message(self, text: str) -> None:
        """Write a sentence of the program itself; a terminal gets it in lines that break between words."""
        self._line(wrapped(printable(text), self._stream))

    def prompt(self, text: str | None) -> None:
        """Do nothing: there are no keys."""

    def close(self) -> None:
        """Do nothing: every line is written already."""

    def _line(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()


def wrapped(text: str, stream: TextIO) -> str:
    """Break a sentence into lines that fit the terminal behind `stream`; leave it whole where that is none."""
    if not stream.isatty():
        return text
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        columns = 0
    return textwrap.fill(text, columns or 80, break_long_words=False, break_on_hyphens=False)


def describe(event: Event, earliest: int = 0) -> str:
    """Describe an event in one line: `12.340 s  u-3  angry 0.58 (final, 2.9 s)`.

    Speech begins and ends before the daemon can know. Where that is before the line above, the line begins with the
    time of that one: `12.340 s  u-3  silence since 11.640 s`.

    Args:
        event: The event.
        earliest: Time of the line above, in ms.
    """
    lost = f"  [{event.dropped} lines lost before this]" if event.dropped else ""
    match event:
        case Hello():
            text = f"{event.server}, model {event.model}: {describe_state(event.state, event.device)}"
        case VoiceStarted():
            text = _describe_voice(event.utterance_id, "speech", event.timestamp, earliest)
        case VoiceStopped():
            text = _describe_voice(event.utterance_id, "silence", event.timestamp, earliest)
        case AudioState():
            when = "" if event.timestamp is None else f"{_seconds(max(event.timestamp, earliest))}  "
            text = when + describe_state(event.state, event.device, event.reason, event.retry_in_ms)
        case Emotion():
            text = f"{_seconds(max(event.timestamp, earliest))}  {event.utterance_id}  {describe_emotion(event)}"
        case _:
            text = event.type
    return printable(text + lost)


def _describe_voice(utterance_id: str, what: str, timestamp: int, earliest: int) -> str:
    since = f" since {_seconds(timestamp)}" if timestamp < earliest else ""
    return f"{_seconds(max(timestamp, earliest))}  {utterance_id}  {what}{since}"


def describe_emotion(event: Emotion) -> str:
    """Describe an emotion without its time: `unknown (final, 2.9 s; low confidence, perhaps sad 0.31)`.

    An activation that is known follows: `angry 0.58 (final, 2.9 s)  activation high 93 %`.
    """
    kind = "final" if event.final else "so far"
    length = f"{(event.end - event.start) / 1000:.1f} s"
    if event.label == UNKNOWN:
        text = f"{UNKNOWN} ({kind}, {length}; {describe_doubt(event)})"
    else:
        text = f"{event.label} {event.confidence:.2f} ({kind}, {length})"
    if event.activation is None or event.activation.level == UNKNOWN:
        return text
    return f"{text}  activation {describe_activation(event.activation)}"


def describe_doubt(event: Emotion) -> str:
    """Describe why the label is `unknown`: `low confidence, perhaps sad 0.31`."""
    reason = (event.reason or "unknown").replace("-", " ")
    return reason if event.top is None else f"{reason}, perhaps {event.top} {event.confidence:.2f}"


def describe_activation(activation: Activation) -> str:
    """Describe an activation with the probability of its level: `low 93 %`; `unknown` has none."""
    match activation.level:
        case "high":
            return f"high {100 * activation.probability:.0f} %"
        case "low":
            return f"low {100 * (1 - activation.probability):.0f} %"
    return activation.level


def describe_state(state: str, device: str | None, reason: str | None = None, retry_in_ms: int | None = None) -> str:
    """Describe a state of the capture: `no microphone (USB Mic): unplugged; trying again in 2 s`."""
    text = _STATES.get(state, state)
    if device:
        text += f" on {device}" if state == CaptureState.LISTENING else f" ({device})"
    if reason:
        text += f": {reason.rstrip('.')}"
    if retry_in_ms is not None:
        text += f"; trying again in {retry_in_ms / 1000:g} s"
    return printable(text)


def _seconds(ms: int) -> str:
    return f"{ms / 1000:.3f} s"
