"""Plots of a run on several corpora."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ser_model.training.report.corpora_figures import Acted, Condition
from ser_model.training.report.result_plots import WIDTH, legend_below

_BLUE: Final = "#0072B2"
_LIGHT: Final = "#9ecae1"
_ORANGE: Final = "#D55E00"
_GREY: Final = "#666666"


def draw_accuracy(left_out: Mapping[str, Acted], heard: Mapping[str, Acted]) -> Figure:
    """Plot the UAR of each corpus that was left out, beside that of new speakers of a corpus that was heard."""
    figure = Figure(figsize=(WIDTH, 1.9 + 0.5 * len(left_out)))
    axes = figure.subplots()
    for place, (name, one) in enumerate(left_out.items()):
        first = place == 0
        axes.barh(
            place,
            one.uar,
            xerr=one.std,
            color=_LIGHT,
            error_kw={"ecolor": "#08519c", "capsize": 3},
            label="corpus never heard, ± over seeds" if first else None,
        )
        axes.plot([one.chance] * 2, (place - 0.4, place + 0.4), color=_ORANGE, label="guessing" if first else None)
        axes.text(0.01, place, f"{100 * one.uar:.0f} %", va="center")
        if name in heard:
            axes.plot(
                heard[name].uar, place, "D", color=_BLUE, label="new speakers of a corpus heard" if first else None
            )
    _name_rows(axes, list(left_out))
    axes.set(xlim=(0, 1), xlabel="UAR over the emotions of the corpus", title="Accuracy on people never heard")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    legend_below(figure, axes)
    return figure


def draw_answers(left_out: Mapping[str, Acted]) -> Figure:
    """Plot how often something is said of each corpus that was left out, and how much of it is right."""
    figure = Figure(figsize=(WIDTH, 2.4 + 0.7 * len(left_out)))
    upper, lower = figure.subplots(2, 1, sharex=True)
    rows = {name: (one.labelled, one.precision) for name, one in left_out.items()}
    levels = {name: (one.said, one.right) for name, one in left_out.items()}
    for axes, values, title in ((upper, rows, "emotion"), (lower, levels, "high or low activation")):
        for place, (said, right) in enumerate(values.values()):
            if said is not None:
                axes.barh(place, said, color=_LIGHT, height=0.6, label="share that gets an answer" if not place else "")
            if right is not None:
                label = "share of these answers that is right" if not place else ""
                axes.plot(right, place, "o", color=_BLUE, label=label, clip_on=False)
            if said is None:
                axes.text(0.01, place, "not measured", va="center", color=_GREY)
        _name_rows(axes, list(values))
        axes.set(xlim=(0, 1), title=title)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    legend_below(figure, upper)
    return figure


def draw_groups(left_out: Mapping[str, Acted]) -> Figure:
    """Plot the UAR by sex and age, for each corpus that was left out and knows them."""
    rows = [(name, group, one.chance) for name, one in left_out.items() for group in one.groups]
    figure = Figure(figsize=(WIDTH, 1.6 + 0.3 * len(rows)))
    axes = figure.subplots()
    for place, (_, group, chance) in enumerate(rows):
        axes.barh(place, group.uar, color=_LIGHT)
        axes.plot([chance] * 2, (place - 0.4, place + 0.4), color=_ORANGE, label="guessing" if not place else None)
        speakers = "1 speaker" if group.speakers == 1 else f"{group.speakers} speakers"
        axes.text(0.99, place, f"{100 * group.uar:.0f} %, {speakers}", va="center", ha="right")
    _name_rows(axes, [f"{name}: {group.title}" for name, group, _ in rows])
    axes.set(xlim=(0, 1), xlabel="UAR over the emotions of the corpus", title="Accuracy by sex and age")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    legend_below(figure, axes)
    return figure


def draw_adaptation(scenarios: Sequence[tuple[str, Mapping[str, float]]]) -> Figure:
    """Plot what adaptation gains in each scenario: a dot for each corpus, and the mean."""
    figure = Figure(figsize=(WIDTH, 1.9 + 0.45 * len(scenarios)))
    axes = figure.subplots()
    for place, (_, gains) in enumerate(scenarios):
        values, label = list(gains.values()), place == 0
        axes.plot(values, [place] * len(values), "o", color=_LIGHT, label="one corpus" if label else None)
        mean = float(np.mean(values)) if values else 0.0
        axes.plot(mean, place, "D", color=_BLUE, label="mean of the corpora" if label else None)
        axes.text(1.02, place, f"{mean:+.1f}", va="center", transform=axes.get_yaxis_transform())
    axes.axvline(0, color=_GREY, linestyle=":")
    _name_rows(axes, [name for name, _ in scenarios])
    axes.set(xlabel="points of UAR gained", title="What adaptation to a voice changes")
    legend_below(figure, axes, columns=2)
    return figure


def draw_conditions(conditions: Sequence[Condition]) -> Figure:
    """Plot the mean UAR over the corpora under each acoustic condition, and a dot for each corpus."""
    figure = Figure(figsize=(WIDTH, 2.0 + 0.36 * len(conditions)))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    for place, one in enumerate(conditions):
        mean, errors, label = float(np.mean(one.uar)), float(np.mean(one.errors)), place == 0
        left.barh(place, mean, color=_LIGHT, label="mean of the corpora" if label else None)
        left.plot(one.uar, [place] * len(one.uar), "o", color=_BLUE, label="one corpus" if label else None)
        left.text(0.99, place, f"{100 * mean:.0f} %", va="center", ha="right")
        right.barh(place, errors, color="#CC79A7")
        right.text(errors, place, f" {100 * errors:.0f} %", va="center")
    _name_rows(left, [one.title for one in conditions])
    left.set(xlim=(0, 1), xlabel="UAR")
    right.set(xlim=(0, 1), xlabel="missed or split")
    for axes in (left, right):
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    figure.suptitle("Accuracy under other conditions", fontsize=10.5)
    legend_below(figure, left, columns=2)
    return figure


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
