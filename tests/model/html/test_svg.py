"""SVG plots are well-formed and stay within their area."""

from __future__ import annotations

import xml.etree.ElementTree

import pytest

from ser_model.html.svg import Axis, Plot


@pytest.mark.parametrize("value", [-1e9, 0.0, 1e9])
def test_a_value_outside_an_axis_is_drawn_at_its_edge(value: float) -> None:
    axis = Axis(low=10, high=1000, ticks=(10, 100, 1000), label="<Hz>", logarithmic=True)
    plot = Plot("a & b", axis, Axis(low=0, high=1, ticks=(0, 1), label="y"))
    plot.line([value], [value], "red", "a<b")
    plot.mark_x(value, "&")
    root = xml.etree.ElementTree.fromstring(plot.svg())
    line = next(item for item in root if item.tag == "polyline")
    x, y = map(float, line.get("points", "").split(","))
    assert 0 <= x <= plot.width
    assert 0 <= y <= plot.height
