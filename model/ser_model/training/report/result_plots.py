"""Plots of the predictions of a run: confusion, recall, learning curves, reliability."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ser_model.labels import LABELS
from ser_model.training.report.page import Picture
from ser_model.training.scores import Classes, confusion

COLOURS: Final = ("#000000", "#56B4E9", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#009E73", "#E69F00")
"""One colour for each label, distinct for colour-blind readers too (Okabe & Ito 2008, "Color Universal Design")."""

WIDTH: Final = 5.6
"""Width of all figures in inches: so narrow that their letters can still be read on a telephone."""

CHANCE: Final = 1 / len(LABELS)
"""UAR of guessing."""

Floats = npt.NDArray[np.float64]

_FEW: Final = 20
"""Epochs up to which each has a marker: a line through one or two cannot be seen."""

_MIN_SHARE: Final = 0.002
"""Share of the predictions below which a bin of the reliability diagram is not drawn."""


def style() -> AbstractContextManager[None]:
    """Return a context with the style of all plots, for drawing and saving."""
    return rc_context(
        {
            "font.size": 10.0,
            "axes.titlesize": 10.5,
            "legend.frameon": False,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "figure.constrained_layout.use": True,
            "figure.dpi": 200.0,
            "savefig.dpi": "figure",
        }
    )


def picture(name: str, title: str, caption: str, draw: Callable[[], Figure] | None) -> Picture:
    """Draw a plot as PNG. `None` gives a picture without an image, whose caption states the reason."""
    if draw is None:
        return Picture(name=name, title=title, caption=caption, png=None)
    out = io.BytesIO()
    with style():
        # Without the version of Matplotlib, so that the same run gives the same bytes.
        draw().savefig(out, format="png", metadata={"Software": None})
    return Picture(name=name, title=title, caption=caption, png=out.getvalue())


def draw_confusion(counts: Classes) -> Figure:
    """Plot the share of each answer for each emotion that occurs.

    Args:
        counts: recordings by emotion and answer, shape (8, 9), as from `scores.confusion`.
    """
    occurring = np.flatnonzero(counts.sum(axis=1))
    shares = counts[occurring] / counts[occurring].sum(axis=1, keepdims=True)
    figure = Figure(figsize=(WIDTH, 1.8 + 0.45 * len(occurring)))
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, column in np.ndindex(*shares.shape):
        share = shares[row, column]
        text = f"{100 * share:.0f}" if share >= 0.005 else "·"
        weight = "bold" if occurring[row] == column else "normal"
        axes.text(column, row, text, ha="center", va="center", weight=weight, color="white" if share > 0.5 else "black")
    axes.axvline(len(LABELS) - 0.5, color="white", linewidth=5)
    axes.set_xticks(range(len(LABELS) + 1), [*LABELS, "missed"], rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(occurring)), [LABELS[at] for at in occurring])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set(xlabel="the network's answer", ylabel="the emotion that was acted")
    axes.set_title("Which emotion is taken for which (percent of each row)")
    return figure


def recalls(truth: Classes, predicted: Classes) -> Floats:
    """Recall of every class, shape (8,); NaN for a class that does not occur."""
    table = confusion(truth, predicted)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.diagonal(table) / table.sum(axis=1))


def draw_recall(truth: Classes, predicted: Sequence[Classes]) -> Figure:
    """Plot the mean recall of each class as a bar, and each seed as a dot."""
    rows = np.array([recalls(truth, one) for one in predicted])
    mean, std = rows.mean(axis=0), rows.std(axis=0)
    figure = Figure(figsize=(WIDTH, 4.4))
    axes = figure.subplots()
    places = np.arange(len(LABELS))
    axes.barh(places, mean, color="#9ecae1", height=0.7)
    shift = np.linspace(-0.2, 0.2, len(rows)) if len(rows) > 1 else np.zeros(1)
    beside = axes.get_yaxis_transform()
    for place in range(len(LABELS)):
        # A dot at either end is not cut off.
        axes.plot(rows[:, place], place + shift, "o", color="#08519c", markersize=5, clip_on=False, zorder=4)
        known = np.isfinite(mean[place])
        text = f"{100 * mean[place]:.0f} ± {100 * std[place]:.0f} %" if known else "does not occur"
        axes.text(1.02, place, text, va="center", transform=beside)
    axes.axvline(CHANCE, color="#D55E00", linestyle="--", label="guessing (12.5 %)", zorder=3)
    axes.set_yticks(places, LABELS)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel="share recognised")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_title("Share recognised: mean (bar) and each seed (dots)")
    legend_below(figure, axes)
    return figure


def legend_below(figure: Figure, axes: Axes, columns: int = 1) -> None:
    """List what a plot shows below it, where it covers nothing."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)


def draw_curves(curves: Mapping[str, Sequence[Floats]]) -> Figure:
    """Plot training loss and UAR against the epoch.

    Args:
        curves: for `validation` and `test` the curves of all networks, each of shape (points, 3): epoch, training
            loss, and UAR on the actors that the network is evaluated on.
    """
    figure = Figure(figsize=(WIDTH, 5.6))
    upper, lower = figure.subplots(2, 1, sharex=True)
    styles = {
        "validation": ("#0072B2", "o-", "answer for validation actors"),
        "test": ("#D55E00", "s--", "answer for test actors"),
    }
    for split, (colour, line, label) in styles.items():
        for axes, column in ((upper, 1), (lower, 2)):
            _band(axes, [curve[:, (0, column)] for curve in curves.get(split, ())], colour, line, label)
    lower.axhline(CHANCE, color="#666666", linestyle=":", label="guessing")
    upper.set(ylabel="training loss (nats)", title="Mean of all networks, shaded from worst to best")
    lower.set(ylabel="UAR", xlabel="epoch", ylim=(0, 1))
    # From 0, so that a run with one point has an axis, too.
    lower.set_xlim(0, max(curve[-1, 0] for several in curves.values() for curve in several) + 1)
    lower.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_below(figure, lower)
    return figure


def _band(axes: Axes, curves: Sequence[Floats], colour: str, line: str, label: str) -> None:
    """Plot the mean of curves over the epochs that all have, and their range."""
    if not curves:
        return
    points = min(len(curve) for curve in curves)
    epoch = curves[0][:points, 0]
    values = np.array([curve[:points, 1] for curve in curves])
    size = 5 if points <= _FEW else 0
    axes.plot(epoch, values.mean(axis=0), line, color=colour, label=label, linewidth=1.8, markersize=size)
    axes.fill_between(epoch, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.18, linewidth=0)
    if points == 1:
        axes.vlines(epoch, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.4, linewidth=4)


def reliability(confidence: Floats, right: npt.NDArray[np.bool_], bins: int = 10) -> tuple[Floats, float]:
    """Confidence and accuracy in bins of equal width, and the expected calibration error.

    The error is the difference between accuracy and mean confidence of a bin, averaged over all predictions
    (Guo et al. 2017, arXiv 1706.04599, section 2).

    Args:
        confidence: shape (n,), 0 to 1.
        right: shape (n,), whether the label is right.
        bins: number of bins.

    Returns:
        shape (bins, 3): mean confidence, accuracy (both NaN in an empty bin) and share of the predictions;
        and the error, 0 to 1
    """
    number = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    count = np.bincount(number, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(number, confidence, minlength=bins) / count
        accuracy = np.bincount(number, right.astype(np.float64), minlength=bins) / count
    share = count / max(len(confidence), 1)
    error = float(np.nansum(share * np.abs(accuracy - mean)))
    return np.stack((mean, accuracy, share), axis=1), error


def draw_reliability(before: tuple[Floats, float], after: tuple[Floats, float], temperature: float) -> Figure:
    """Plot the results of `reliability` without and with a temperature; `temperature` is the mean over seeds."""
    figure = Figure(figsize=(WIDTH, 6.2))
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot((0, 1), (0, 1), ":", color="#666666", label="ideal: as often right as sure")
    for (bins, error), style, colour, name in (
        (before, "s--", "#D55E00", "as the network says it"),
        (after, "o-", "#0072B2", f"calibrated (temperature {temperature:.2f})"),
    ):
        # The accuracy of a few predictions means little.
        some = bins[:, 2] >= _MIN_SHARE
        label = f"{name}: error {100 * error:.1f} points"
        upper.plot(bins[some, 0], bins[some, 1], style, color=colour, label=label, clip_on=False)
    edges = np.linspace(0, 1, len(after[0]), endpoint=False)
    lower.bar(edges, after[0][:, 2], width=0.95 / len(edges), align="edge", color="#9ecae1")
    upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="share that was right", title="Confidence and accuracy")
    lower.set(xlabel="confidence of the answer", ylabel="share of answers\n(calibrated)")
    for axis in (upper.xaxis, upper.yaxis, lower.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    legend_below(figure, upper)
    return figure
