"""The live view in a terminal, drawn with rich; fits 80 columns by 24 lines."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.rule import Rule
from rich.text import Text

from ser_daemon.views.keys import HINT
from ser_daemon.views.text import describe_activation, describe_state
from ser_daemon.views.utterances import COLOURS, label_text, utterance_table
from ser_daemon.wire.events import AudioState, Emotion, Event, Hello, VoiceStarted, VoiceStopped
from ser_daemon.wire.protocol import CaptureState
from ser_model.labels import LABELS
from ser_model.printable import printable

REDRAW_SECONDS = 0.1
"""Shortest time between two redraws."""

UTTERANCES = 6
"""Number of utterances on the screen."""

FLOOR_DBFS = -80.0
"""Level at the left end of the level bar."""

_MAX_WIDTH = 96
_HIGHEST_DBFS = 1000.0


class LiveView:
    """Draws on the alternate screen of a terminal; when closed, prints its last state on the normal screen."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic, *, keys: bool = False) -> None:
        """Start drawing.

        Args:
            stream: a terminal.
            clock: monotonic, in seconds; limits how often the view is redrawn.
            keys: whether somebody reads keys, so that the view names them.
        """
        # An empty NO_COLOR asks for nothing (no-color.org); rich before 14 takes it for a request.
        self._console = Console(file=stream, no_color=bool(os.environ.get("NO_COLOR")))
        self._clock = clock
        self._drawn = float("-inf")
        self._title = "ser-daemon"
        self._state = "connecting"
        self._prompt: str | None = None
        self._hint = HINT if keys else "Ctrl-C ends"
        self._healthy = True
        self._speaking = False
        self._level: float | None = None
        self._noise_floor: float | None = None
        self._emotion: Emotion | None = None
        self._has_activation = False
        self._utterances: deque[Emotion] = deque(maxlen=UTTERANCES)
        encodable = "utf" in self._console.encoding.lower()
        self._full, self._empty, self._mark, self._dot = "█░┃●" if encodable else "#-|*"
        # `Live` calls `render` while it is being constructed, and `render` reads this attribute.
        self._live: Live | None = None
        self._live = Live(
            console=self._console,
            screen=True,
            auto_refresh=False,
            get_renderable=self.render,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def event(self, event: Event) -> None:
        """Show an event, at the next redraw that is due."""
        match event:
            case Hello():
                self._title = f"{event.server} · {event.model}"
                self._set_state(event.state, describe_state(event.state, event.device))
                self._speaking = event.speaking
                self._has_activation = False
            case AudioState():
                text = describe_state(event.state, event.device, event.reason, event.retry_in_ms)
                self._set_state(event.state, text)
            case VoiceStarted():
                self._speaking = True
                self._emotion = None
            case VoiceStopped():
                self._speaking = False
            case Emotion():
                self._emotion = event
                # It stays for the daemon's later answers, so that the lines below do not jump.
                self._has_activation = self._has_activation or event.activation is not None
                if event.final:
                    self._utterances.append(event)
        self._draw()

    def level(self, dbfs: float | None, noise_floor_dbfs: float | None) -> None:
        """Show the level, and redraw where that is due."""
        self._level = _finite(dbfs)
        self._noise_floor = _finite(noise_floor_dbfs)
        self._draw()

    def message(self, text: str) -> None:
        """Show a sentence in place of the state."""
        self._set_state("", text)
        self._speaking = False
        self._level = self._noise_floor = None
        self._draw()

    def prompt(self, text: str | None) -> None:
        """Show a sentence about keys in place of the state, at once; None removes it."""
        self._prompt = text
        self._drawn = float("-inf")
        self._draw()

    def close(self) -> None:
        """Leave the alternate screen and print the last state on the normal one."""
        if self._live is None:
            return
        live, self._live = self._live, None
        live.stop()
        self._console.print(self.render())

    def _set_state(self, state: str, text: str) -> None:
        self._state = printable(text)
        self._healthy = state == CaptureState.LISTENING
        if not self._healthy:
            self._speaking = False

    def _draw(self) -> None:
        now = self._clock()
        if self._live is not None and now - self._drawn >= REDRAW_SECONDS:
            self._drawn = now
            self._live.refresh()

    def render(self) -> RenderableType:
        """Compose the view."""
        width = min(self._console.width, _MAX_WIDTH)
        first = self._first_line()
        # A remedy that needs several lines takes them from the table, so that the view keeps its height.
        extra = 0 if first.no_wrap else len(first.wrap(self._console, max(width - 4, 1))) - 1
        shown = max(UTTERANCES - extra, 1)
        activations = " and their activation" if self._has_activation else ""
        rows: list[RenderableType] = [
            first,
            self._level_line(width - 4),
            Rule(self._heading(), align="left", style="bright_black"),
            self._bars(width - 4),
            *([self._activation()] if self._has_activation else []),
            Rule(f"last utterances{activations}", align="left", style="bright_black"),
            utterance_table(list(self._utterances)[-shown:], shown, activation=self._has_activation),
        ]
        return Panel(
            Group(*rows),
            # A `Text`: rich would look for markup in a string.
            title=Text(printable(self._title)),
            subtitle=None if self._live is None else self._hint,
            width=width,
            border_style="bright_black",
        )

    def _first_line(self) -> Text:
        if self._prompt is not None and self._live is not None:
            return Text(self._prompt, style="bold cyan", overflow="ellipsis", no_wrap=True)
        if self._healthy:
            return Text(self._state, style="green", overflow="ellipsis", no_wrap=True)
        # What is wrong, and what to do: never cut off.
        return Text(self._state, style="bold yellow", overflow="fold")

    def _level_line(self, width: int) -> Text:
        number = "" if self._level is None else f"{max(self._level, FLOOR_DBFS):4.0f} dBFS"
        cells = width - 9 - 10 - 11
        filled = self._cell(self._level, cells)
        floor = self._cell(self._noise_floor, cells)
        line = Text("level    ", no_wrap=True)
        for cell in range(cells):
            if self._noise_floor is not None and cell == floor:
                line.append(self._mark, "bold white")
            elif cell < filled:
                line.append(self._full, "green" if cell > floor else "bright_black")
            else:
                line.append(self._empty, "bright_black")
        line.append(f"{number:>10}  ")
        if self._speaking:
            return line.append(f"{self._dot} speech", "bold green")
        return line.append(f"{self._dot} silence", "bright_black")

    def _cell(self, dbfs: float | None, cells: int) -> int:
        if dbfs is None:
            return 0
        share = (max(dbfs, FLOOR_DBFS) - FLOOR_DBFS) / -FLOOR_DBFS
        return min(int(share * cells), cells - 1)

    def _heading(self) -> Text:
        if self._emotion is None:
            return Text("listening to an utterance" if self._speaking else "nobody has spoken yet")
        utterance = printable(self._emotion.utterance_id)
        heading = Text(f"{utterance} {'as a whole' if self._emotion.final else 'so far'}: ")
        return heading.append_text(label_text(self._emotion))

    def _bars(self, width: int) -> Group:
        cells = width - 11 - 6
        scores = self._emotion.scores if self._emotion is not None else {}
        top = max(scores, key=lambda label: scores[label], default=None)
        lines = []
        for label in LABELS:
            score = float(scores.get(label, 0.0))
            filled = round(min(max(score, 0.0), 1.0) * cells)
            line = Text(f"{label:<11}", style="bold" if label == top else "", no_wrap=True)
            line.append(self._full * filled, COLOURS[label])
            line.append(" " * (cells - filled))
            line.append(f"{score:6.2f}" if scores else "     -")
            lines.append(line)
        return Group(*lines)

    def _activation(self) -> Text:
        found = None if self._emotion is None else self._emotion.activation
        text = "-" if found is None else printable(describe_activation(found))
        return Text(f"{'activation':<11}{text}", no_wrap=True, overflow="ellipsis")


def _finite(dbfs: float | None) -> float | None:
    """Return a level that can be drawn: the answer to `status` may be another program's."""
    return float(dbfs) if isinstance(dbfs, float | int) and abs(dbfs) < _HIGHEST_DBFS else None
