"""Plots that compare a run: with other acoustic conditions, and with other models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ser_model.training.report.result_plots import CHANCE, WIDTH, legend_below

PUBLISHED: Final[Mapping[str, Sequence[tuple[str, float, float, float]]]] = {
    "LSTM-SA": (("h32", 10_600, 0.5352, 0.0123), ("h64", 28_300, 0.5751, 0.0108), ("h128", 91_600, 0.5895, 0.0076)),
    "ResLSTM-SA": (
        ("h32", 27_988, 0.6130, 0.0111),
        ("h64", 46_772, 0.6232, 0.0119),
        ("h128", 108_916, 0.6107, 0.0134),
    ),
    "large, pretrained": (("CNN14", 81e6, 0.7658, 0.0), ("xlsr-wav2vec2", 317e6, 0.8182, 0.0)),
}
"""Family to (name, parameters, UAR, its standard deviation over 10 seeds or 0), from arXiv 2606.03359."""


class Bar(NamedTuple):
    """The results under one condition."""

    title: str
    uar: float
    std: float
    """Standard deviation of `uar` over seeds."""
    missed: float
    """Share of recordings that the gate missed or split."""


def draw_robustness(bars: Sequence[Bar]) -> Figure:
    """Plot UAR and share missed for each condition; the first is the reference."""
    figure = Figure(figsize=(WIDTH, 2.0 + 0.32 * len(bars)))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    places = range(len(bars))
    left.barh(
        places,
        [bar.uar for bar in bars],
        xerr=[bar.std for bar in bars],
        color="#9ecae1",
        error_kw={"ecolor": "#08519c", "capsize": 3},
    )
    right.barh(places, [bar.missed for bar in bars], color="#CC79A7")
    for place, bar in enumerate(bars):
        left.text(0.01, place, f"{bar.uar:.3f}", va="center")
        right.text(bar.missed, place, f" {100 * bar.missed:.0f} %", va="center")
    left.axvline(bars[0].uar, color="#08519c", linestyle=":", label=f"{bars[0].title}")
    left.axvline(CHANCE, color="#D55E00", linestyle="--", label="guessing")
    left.set_yticks(places, [bar.title for bar in bars])
    left.invert_yaxis()
    left.set(xlim=(0, max(bar.uar + bar.std for bar in bars) + 0.03), xlabel="UAR, ± over seeds")
    figure.suptitle("Accuracy under other conditions", fontsize=10.5)
    right.set(xlim=(0, max(0.05, 1.6 * max(bar.missed for bar in bars))), xlabel="missed or split")
    right.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    right.xaxis.set_major_locator(MaxNLocator(2))
    legend_below(figure, left, columns=2)
    return figure


def draw_sizes(parameters: int, uar: float, std: float, variant: str) -> Figure:
    """Plot UAR against the number of parameters, for the published models and this run."""
    figure = Figure(figsize=(WIDTH, 4.8))
    axes = figure.subplots()
    styles = {"LSTM-SA": ("s", "#56B4E9"), "ResLSTM-SA": ("o", "#0072B2"), "large, pretrained": ("D", "#666666")}
    for family, models in PUBLISHED.items():
        marker, colour = styles[family]
        sizes, scores, errors = (np.array([model[at] for model in models]) for at in (1, 2, 3))
        line = "-" if len(models) > 2 else "none"
        axes.errorbar(sizes, scores, errors, fmt=marker, linestyle=line, color=colour, capsize=3, label=family)
        for name, size, score, error in models:
            below = family == "LSTM-SA"
            at = score - error if below else score + error
            # Above the star of a better run of the same size, which would cover the name.
            beside = {"h32": (-13, -1), "h64": (0, 18), "h128": (16, -1)}
            offset = (0, -14) if below else beside.get(name, (0, 6))
            axes.annotate(name, (size, at), offset, textcoords="offset points", ha="center", fontsize=9)
    label = f"this run, {variant}: {uar:.3f} ± {std:.3f}"
    axes.errorbar(
        parameters,
        uar,
        std,
        fmt="*",
        color="#D55E00",
        markersize=17,
        markeredgecolor="white",
        capsize=3,
        zorder=5,
        label=label,
    )
    axes.axhline(CHANCE, color="#666666", linestyle=":", label="guessing")
    axes.set_xscale("log")
    axes.set(xlim=(5e3, 1e9), ylim=(0, 0.9), xlabel="trainable parameters (logarithmic)", ylabel="UAR on RAVDESS")
    axes.set_title("Published models and this run")
    legend_below(figure, axes, columns=2)
    return figure
