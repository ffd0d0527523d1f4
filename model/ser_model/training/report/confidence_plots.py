"""Plots of confidence.json: accuracy against coverage, and confidence by the amount of speech."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ser_model.errors import SerError
from ser_model.training.calibration_files import CONFIDENCE_FILE, ConfidenceFile, read_confidence
from ser_model.training.folds.run_results import RunResults
from ser_model.training.report.page import Picture
from ser_model.training.report.result_plots import WIDTH, legend_below, picture

_NOT_MEASURED: Final = (
    "Confidence was not measured for this run: it has no confidence.json (`ser-calibrate confidence`)."
)
_KINDS: Final = (
    ("utterance", "whole utterances", "o-", "#0072B2"),
    ("full_window", "windows full of speech", "s-", "#009E73"),
    ("window", "all windows, from the first syllable on", "^-", "#D55E00"),
)


def coverage_picture(run: RunResults) -> Picture:
    """Accuracy on the most confident share of the predictions (risk and coverage)."""
    return _picture(
        run,
        "coverage",
        "How right it is when it is sure",
        "Sort all answers by their confidence and keep only the surest: at the left end the surest tenth, at the right "
        "end all of them. The curve says how many of those kept are right. It falls from left to right if confidence "
        "means something; a flat one would mean that it says nothing. Windows are the last two seconds of speech, "
        "judged while somebody is still speaking; in the first of them there is not much to hear.",
        lambda content: draw_coverage(content["measured"]),
    )


def voiced_picture(run: RunResults) -> Picture:
    """Confidence and accuracy by the duration of voiced speech."""
    return _picture(
        run,
        "heard",
        "Whether it knows that it has heard too little",
        "The further right, the more speech had been heard when the answer was given. The bars are how many of the "
        "answers were right; the points are how sure the network was on average. As it comes out of training it is as "
        "sure after a syllable as after half a sentence; calibrated, its confidence follows the bars.",
        lambda content: draw_voiced(content["heard"]),
    )


def _picture(run: RunResults, name: str, title: str, caption: str, draw: Callable[[ConfidenceFile], Figure]) -> Picture:
    content = _read(run)
    if content is None:
        return picture(name, title, _NOT_MEASURED, None)
    return picture(name, title, caption, partial(draw, content))


def _read(run: RunResults) -> ConfidenceFile | None:
    """Read confidence.json, and check what the plots need; `None` if it is missing.

    Raises:
        SerError: The file is damaged.
    """
    content = read_confidence(run.folder.path)
    if content is None:
        return None
    try:
        for kind, *_ in _KINDS:
            points = content["measured"][kind]["after"]["risk_coverage"]
            np.array([(point["coverage"], point["accuracy"]) for point in points], dtype=np.float64)
        np.array(
            [[row[name] for name in ("accuracy", "before", "after")] for row in content["heard"]], dtype=np.float64
        )
        [str(row["up_to_seconds"]) for row in content["heard"]]
    except (ValueError, KeyError, TypeError) as error:
        path = run.folder.path / CONFIDENCE_FILE
        raise SerError(f"{path}: is damaged ({error!r}); measure it again, or remove it") from error
    return content


def draw_coverage(measured: Mapping[str, Any]) -> Figure:
    """Plot accuracy against the share of predictions kept.

    Args:
        measured: by kind of answer, from confidence.json.
    """
    figure = Figure(figsize=(WIDTH, 4.8))
    axes = figure.subplots()
    for kind, label, style, colour in _KINDS:
        points = measured[kind]["after"]["risk_coverage"]
        shares = [point["coverage"] for point in points]
        axes.plot(shares, [point["accuracy"] for point in points], style, color=colour, label=label)
    axes.set(xlim=(0, 1.02), ylim=(0, 1), xlabel="share of the answers kept, the surest first", ylabel="right of these")
    axes.set_title("Accuracy on the surest answers")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    legend_below(figure, axes)
    return figure


def draw_voiced(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Plot accuracy and mean confidence by seconds of voiced speech.

    Args:
        rows: the value of `heard` in confidence.json.
    """
    figure = Figure(figsize=(WIDTH, 4.8))
    axes = figure.subplots()
    place = np.arange(len(rows))
    axes.bar(place, [row["accuracy"] for row in rows], color="#9ecae1", label="right")
    axes.plot(place, [row["before"] for row in rows], "s--", color="#D55E00", label="sure, as the network says it")
    axes.plot(place, [row["after"] for row in rows], "o-", color="#0072B2", label="sure, calibrated")
    names = ["more" if row["up_to_seconds"] is None else f"to {row['up_to_seconds']:g} s" for row in rows]
    axes.set_xticks(place, names)
    axes.set(ylim=(0, 1), xlabel="voiced speech heard so far", ylabel="share of the answers")
    axes.set_title("Confidence and accuracy by how much was heard")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    legend_below(figure, axes)
    return figure
