"""The picture of `make bench`: processor time of the daemon beside its peers."""

from __future__ import annotations

from collections.abc import Mapping

from ser_model.html.svg import Axis, Plot

COLOURS = ("#1b7837", "#999999", "#d9b13b", "#2b7bba", "#8856a7", "#c0392b")
LOW, HIGH = 0.01, 200.0
"""Percent of a core; the scale is logarithmic."""

WIDTH = 860.0


def picture(speech: Mapping[str, float], silence: Mapping[str, float]) -> str:
    """Return an SVG file with a bar for each program, in speech and in silence.

    Args:
        speech: processor time in percent of a core by program.
        silence: the same for the same programs.
    """
    groups = len(speech)
    x = Axis(low=0, high=2 * groups + 2, ticks=(), label="in speech (left) and in silence (right)")
    ticks = (0.01, 0.1, 1, 10, 100)
    y = Axis(low=LOW, high=HIGH, ticks=ticks, label="% of a core, logarithmic", logarithmic=True)
    plot = Plot(title="Processor time of ser-daemon and of other programs", x=x, y=y, width=WIDTH)
    for place, (name, colour) in enumerate(zip(speech, COLOURS, strict=False)):
        plot.bars((place + 0.6, place + 1.4), (speech[name],), colour, name)
        plot.bars((groups + place + 1.6, groups + place + 2.4), (silence[name],), colour)
    # What a page gives to its plots; a file has no page around it.
    page = "--paper: white; --rule: #ddd; color: #333; background: white; font: 13px sans-serif"
    return plot.svg().replace("<svg ", f'<svg xmlns="http://www.w3.org/2000/svg" style="{page}" ', 1) + "\n"
