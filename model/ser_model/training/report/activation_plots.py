"""Plots of the activations of a network for one utterance, and of the embeddings of many."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ser_model.features.features import FRAME, HOP, MFCC
from ser_model.labels import LABELS
from ser_model.training.report.activations import Activations
from ser_model.training.report.result_plots import COLOURS, WIDTH, Floats
from ser_model.training.scores import Classes
from ser_model.types import SAMPLE_RATE, Samples

_MARKERS: Final = ("o", "s", "^", "v", "D", "P", "X", "*")
"""One marker for each label, so that the plot is readable without colours."""


def principal_axes(points: Floats) -> tuple[Floats, Floats]:
    """Principal component analysis: points of shape (n, size) to (n, 2), and the two shares of the variance."""
    centred = points - points.mean(axis=0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    total = max(float(np.sum(values**2)), 1e-12)
    return np.asarray(left[:, :2] * values[:2]), np.asarray(values[:2] ** 2 / total)


def nearest_agree(points: Floats, truth: Classes, actors: Classes) -> float:
    """Share of the points whose nearest neighbour from another actor has the same emotion."""
    squares = np.sum(points**2, axis=1)
    distance = squares[:, None] + squares[None] - 2 * points @ points.T
    distance[actors[:, None] == actors[None]] = np.inf
    return float(np.mean(truth[np.argmin(distance, axis=1)] == truth))


def draw_signal(samples: Samples, activations: Activations, title: str) -> Figure:
    """Plot an utterance, its attention weights, and the output of every layer, over time."""
    figure = Figure(figsize=(WIDTH, 8.6))
    rows = figure.subplots(5, 1, sharex=True, height_ratios=(1.2, 1, 1, 1, 1))
    _draw_attention(rows[0], samples, activations.attention)
    rows[0].set_title(title)
    layers = (
        ("input: 46 features, normalised", activations.features, "standard\ndeviations"),
        ("output of LSTM 1", activations.lstm1, "activation"),
        ("residual sum: LSTM 1 + input", activations.residual, "sum"),
        (f"output of LSTM 2 ({activations.lstm2.shape[1]} cells)", activations.lstm2, "activation"),
    )
    # A frame is drawn over the hop around its middle.
    begin = (FRAME - HOP) / 2 / SAMPLE_RATE
    end = begin + len(activations.attention) * HOP / SAMPLE_RATE
    for axes, (name, values, unit) in zip(rows[1:], layers, strict=True):
        limit = max(float(np.quantile(np.abs(values), 0.99)), 1e-6)
        extent = (begin, end, 0.0, float(values.shape[1]))
        image = axes.imshow(
            values.T, aspect="auto", origin="lower", cmap="RdBu_r", vmin=-limit, vmax=limit, extent=extent
        )
        axes.set_title(name, loc="left", fontsize=10)
        axes.set_ylabel("cell")
        # Beside the plot, below the axis of the attention.
        figure.colorbar(image, cax=axes.inset_axes((1.015, 0, 0.015, 1)), label=unit)
    edges = (0, MFCC, 2 * MFCC, activations.features.shape[1])
    for edge in edges[1:-1]:
        rows[1].axhline(edge, color="black", linewidth=0.8)
    rows[1].set_ylabel("")
    middles = [(low + high) / 2 for low, high in pairwise(edges)]
    rows[1].set_yticks(middles, ("level,\ncepstra", "their\nchanges", "prosody"))
    rows[-1].set_xlabel("time (s)")
    rows[-1].set_xlim(0, max(end, len(samples) / SAMPLE_RATE))
    return figure


def _draw_attention(axes: Axes, samples: Samples, attention: Floats) -> None:
    """Plot the waveform, and the attention weight of each frame in percent at its middle."""
    axes.plot(np.arange(len(samples)) / SAMPLE_RATE, samples / 32768, color="#9e9e9e", linewidth=0.4)
    loudest = max(float(np.abs(samples / 32768).max(initial=0)), 1e-4)
    axes.set(ylim=(-1.1 * loudest, 1.1 * loudest), ylabel="sound\n(1 = full scale)")
    weights = axes.twinx()
    time = (FRAME / 2 + np.arange(len(attention)) * HOP) / SAMPLE_RATE
    weights.fill_between(time, 100 * attention, step="mid", color="#D55E00", alpha=0.25, linewidth=0)
    weights.step(time, 100 * attention, where="mid", color="#D55E00", linewidth=1.5)
    weights.set_ylim(0, 1.15 * 100 * float(attention.max()))
    weights.set_ylabel("attention\n(% a frame)", color="#D55E00")
    weights.tick_params(axis="y", colors="#D55E00")
    weights.spines["right"].set(visible=True, color="#D55E00")


def draw_spaces(spaces: Sequence[tuple[str, Floats]], truth: Classes, actors: Classes) -> Figure:
    """Plot the same utterances in several spaces, each projected to its first two principal components.

    Args:
        spaces: title and points, shape (n, size), of each space.
        truth: classes, shape (n,).
        actors: shape (n,).
    """
    figure = Figure(figsize=(WIDTH, 9.4))
    for axes, (title, points) in zip(figure.subplots(len(spaces), 1), spaces, strict=True):
        flat, shares = principal_axes(points)
        for emotion, (label, colour, marker) in enumerate(zip(LABELS, COLOURS, _MARKERS, strict=True)):
            chosen = truth == emotion
            axes.scatter(
                *flat[chosen].T, s=34, c=colour, marker=marker, edgecolors="#333333", linewidths=0.4, label=label
            )
        agreement = nearest_agree(points, truth, actors)
        axes.set_title(
            f"{title}\nnearest utterance of another speaker: same emotion in {100 * agreement:.0f} %", fontsize=10
        )
        axes.set(xlabel=f"first axis ({100 * shares[0]:.0f} % of the variance)", xticks=[], yticks=[])
        axes.set_ylabel(f"second axis ({100 * shares[1]:.0f} %)")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(LABELS) // 2, handletextpad=0.1)
    return figure
