"""Small plots as SVG text, for self-contained pages.

A plot has the colours of the page around it: letters `currentColor`, background `--paper`, thin lines `--rule`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

_LEFT, _RIGHT, _TOP, _BOTTOM = 64.0, 12.0, 8.0, 50.0

_LINE = 18.0
"""Height of a line of text."""

_LETTER = 7.0
"""Width of a letter, on average."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """An axis of a plot: its range, ticks and label."""

    low: float
    high: float
    ticks: Sequence[float]
    label: str
    logarithmic: bool = False

    def share(self, value: float) -> float:
        """Return the position of a value, 0 to 1; a value outside the range is moved to the nearer end."""
        low, high, at = self.low, self.high, min(max(value, self.low), self.high)
        if self.logarithmic:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return (at - low) / (high - low)


@dataclass(slots=True)
class Plot:
    """A plot to which parts are added, each above the earlier ones. Colours are CSS colours."""

    title: str
    """Text for screen readers."""
    x: Axis
    y: Axis
    width: float = 560.0
    """So narrow that the letters can still be read on a telephone."""
    height: float = 300.0
    """Without the legend, which is above the plot and as high as it needs."""
    _marks: int = 0
    _parts: list[str] = field(default_factory=list)
    _legend: list[tuple[str, str]] = field(default_factory=list)

    def line(self, xs: Iterable[float], ys: Iterable[float], colour: str, name: str = "") -> None:
        """Draw a line through points; a name is listed in the legend."""
        points = " ".join(f"{self._x(x):.1f},{self._y(y):.1f}" for x, y in zip(xs, ys, strict=True))
        self._parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        self._name(name, colour)

    def bars(self, edges: Sequence[float], heights: Sequence[float], colour: str, name: str = "") -> None:
        """Draw bars from the bottom; `edges` has one number more than `heights`."""
        base = self._y(self.y.low)
        for left, right, height in zip(edges, edges[1:], heights, strict=False):
            if height > self.y.low:
                top = self._y(height)
                self._rectangle(self._x(left), top, self._x(right) - self._x(left), base - top, colour, 0.55)
        self._name(name, colour)

    def envelope(self, xs: Sequence[float], lows: Sequence[float], highs: Sequence[float], colour: str) -> None:
        """Fill the area between two lines, such as the lowest and the highest sample over time."""
        there = [f"{self._x(x):.1f},{self._y(y):.1f}" for x, y in zip(xs, highs, strict=True)]
        back = [f"{self._x(x):.1f},{self._y(y):.1f}" for x, y in zip(xs, lows, strict=True)]
        points = " ".join(there + back[::-1])
        self._parts.append(f'<polygon points="{points}" fill="{colour}" stroke="{colour}" stroke-width=".6"/>')

    def band(self, left: float, right: float, colour: str, name: str = "") -> None:
        """Shade the area between two values of x, over the full height."""
        top, bottom = self._y(self.y.high), self._y(self.y.low)
        self._rectangle(self._x(left), top, max(self._x(right) - self._x(left), 1.0), bottom - top, colour, 0.2)
        self._name(name, colour)

    def mark_x(self, value: float, label: str, *, left: bool = False) -> None:
        """Draw a vertical dashed line with a label beside its top, on the other side if there is no room.

        Each label is a line lower than the one before, so that they never meet.
        """
        x, top = self._x(value), self._y(self.y.high)
        self._dashed(x, top, x, self._y(self.y.low))
        length = _LETTER * len(label) + 5
        left = x - length > _LEFT if left else x + length > self.width - _RIGHT
        self._text(x - 5 if left else x + 5, top + 14 + 1.2 * _LINE * self._marks, label, "end" if left else "start")
        self._marks += 1

    def svg(self) -> str:
        """Return the plot as an SVG element."""
        legend, above = self._legend_parts()
        parts = [*legend, *self._grid(), *self._parts]
        title = escape(self.title, quote=True)
        return (
            f'<svg viewBox="0 {-above:.0f} {self.width:.0f} {self.height + above:.0f}" role="img" '
            f'aria-label="{title}" font-size="14" fill="currentColor">\n' + "\n".join(parts) + "\n</svg>"
        )

    def _x(self, value: float) -> float:
        return _LEFT + self.x.share(value) * (self.width - _LEFT - _RIGHT)

    def _y(self, value: float) -> float:
        return self.height - _BOTTOM - self.y.share(value) * (self.height - _TOP - _BOTTOM)

    def _grid(self) -> list[str]:
        kept, self._parts = self._parts, []
        left, right, bottom = _LEFT, self.width - _RIGHT, self.height - _BOTTOM
        for tick in self.x.ticks:
            self._rule(self._x(tick), bottom, self._x(tick), bottom + 5, "currentColor")
            self._text(self._x(tick), bottom + 22, _number(tick), "middle")
        for tick in self.y.ticks:
            self._rule(left, self._y(tick), right, self._y(tick), "var(--rule)")
            self._text(left - 7, self._y(tick) + 4, _number(tick), "end")
        self._rule(left, bottom, right, bottom, "currentColor")
        self._text((left + right) / 2, self.height - 6, self.x.label, "middle")
        middle = (_TOP + bottom) / 2
        place = f'transform="translate(14 {middle:.1f}) rotate(-90)" text-anchor="middle"'
        self._parts.append(f"<text {place}>{escape(self.y.label)}</text>")
        grid, self._parts = self._parts, kept
        return grid

    def _legend_parts(self) -> tuple[list[str], float]:
        """Return the legend in lines above the plot, which ends at y 0, and its height."""
        places: list[tuple[float, int]] = []
        at, line = _LEFT, 0
        for name, _ in self._legend:
            length = 20 + _LETTER * len(name)
            if places and at + length > self.width:
                at, line = _LEFT, line + 1
            places.append((at, line))
            at += length + 20
        height = _LINE * (line + 1) + 6 if places else 0.0
        parts = []
        for (name, colour), (x, row) in zip(self._legend, places, strict=True):
            y = _LINE * row - height
            parts.append(f'<rect x="{x:.1f}" y="{y + 4:.1f}" width="14" height="12" fill="{colour}"/>')
            parts.append(f'<text x="{x + 20:.1f}" y="{y + 15:.1f}">{escape(name)}</text>')
        return parts, height

    def _name(self, name: str, colour: str) -> None:
        if name and (name, colour) not in self._legend:
            self._legend.append((name, colour))

    def _rectangle(self, x: float, y: float, width: float, height: float, colour: str, opacity: float) -> None:
        self._parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}" '
            f'fill-opacity="{opacity:g}"/>'
        )

    def _rule(self, x1: float, y1: float, x2: float, y2: float, colour: str, more: str = "") -> None:
        self._parts.append(f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{colour}"{more}/>')

    def _dashed(self, x1: float, y1: float, x2: float, y2: float) -> None:
        self._rule(x1, y1, x2, y2, "currentColor", ' stroke-dasharray="5 4"')

    def _text(self, x: float, y: float, text: str, anchor: str) -> None:
        # An outline keeps letters readable over other parts.
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" stroke="var(--paper)" stroke-width="3" '
            f'stroke-linejoin="round" paint-order="stroke">{escape(text)}</text>'
        )


def _number(value: float) -> str:
    """Format the number of a tick, with a minus sign instead of a hyphen."""
    return f"{value:g}".replace("-", "\N{MINUS SIGN}")
