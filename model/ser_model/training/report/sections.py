"""The pictures of a report, each with a caption for readers who do not know neural networks."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ser_model.errors import SerError
from ser_model.labels import LABELS
from ser_model.training.folds.jobs import FOLDS, SPLITS, Job
from ser_model.training.folds.run_results import RunResults
from ser_model.training.report import result_plots
from ser_model.training.report.activation_plots import draw_signal, draw_spaces
from ser_model.training.report.activations import Inspection
from ser_model.training.report.comparison_plots import Bar, draw_robustness, draw_sizes
from ser_model.training.report.confidence_plots import coverage_picture, voiced_picture
from ser_model.training.report.page import Picture
from ser_model.training.report.result_plots import Floats, picture
from ser_model.training.scores import confusion, fit_temperature, posterior, uar


def makers(run: RunResults, inspection: Inspection) -> list[Callable[[], Picture]]:
    """Return a function for each picture, in the order of the page."""
    return [
        partial(_confusion, run),
        partial(_recall, run),
        partial(_curves, run),
        partial(_signal, inspection),
        partial(_spaces, inspection),
        partial(_reliability, run),
        partial(coverage_picture, run),
        partial(voiced_picture, run),
        partial(_robustness, run),
        partial(_sizes, run, inspection),
    ]


def _confusion(run: RunResults) -> Picture:
    return picture(
        "confusion",
        "What it takes for what",
        "Each row is an emotion that was acted, each column an answer; the number is how many of a hundred such "
        "recordings got that answer. A perfect network would have 100 all along the diagonal and nothing beside it; "
        "the large numbers off the diagonal are its typical mistakes. “Missed” is where no utterance, or more than "
        "one, was found in the recording.",
        partial(result_plots.draw_confusion, np.sum([confusion(run.truth, one) for one in run.predicted], axis=0)),
    )


def _recall(run: RunResults) -> Picture:
    return picture(
        "recall",
        "How much of each emotion it recognises",
        "Each bar shows which share of the recordings of one emotion was recognised; the dots are trainings that "
        "differ only in their random beginnings (seeds). Dots far apart mean that chance decides much; a bar near "
        "the dashed line would be no better than guessing.",
        partial(result_plots.draw_recall, run.truth, run.predicted),
    )


def _curves(run: RunResults) -> Picture:
    name, title = "curves", "How it learned"
    curves: dict[str, list[Floats]] = {split: [] for split in SPLITS}
    for split in SPLITS:
        for seed in run.seeds:
            for fold in FOLDS:
                with np.load(run.folder.path / f"{Job(seed, fold, split).name}.npz") as file:
                    if "curve" in file and file["curve"].ndim == 2 and len(file["curve"]):
                        curves[split].append(np.asarray(file["curve"], dtype=np.float64))
    if not any(curves.values()):
        return picture(name, title, "The learning curve is not there: this run did not record it.", None)
    return picture(
        name,
        title,
        "Above: how wrong the networks are about the recordings they learn from, after each pass through them "
        "(epoch). Below: how well they do on speakers they have never heard. While both get better, it learns; where "
        "the upper curve goes on falling and the lower one doesn't rise, it only learns its examples by heart.",
        partial(result_plots.draw_curves, curves),
    )


def _signal(inspection: Inspection) -> Picture:
    correctness = "rightly" if inspection.predicted == inspection.recording.emotion else "wrongly"
    title = (
        f"{inspection.recording.name}: acted {LABELS[inspection.recording.emotion]}, "
        f"answered {LABELS[inspection.predicted]} ({100 * inspection.confidence:.0f} %)"
    )
    return picture(
        "signal",
        "One utterance on its way through the network",
        "Time runs from left to right through one utterance of a speaker this network has never heard (fold "
        f"{inspection.fold + 1}, {correctness} answered; of all such, the one with the median confidence). On top the "
        "sound, and in orange how much each moment counts for the answer (attention). Below, what the network makes "
        "of it step by step, red above zero and blue below: the features that go in, what the first memory layer says, "
        "that added to its input, and what the second memory layer keeps, of which attention takes the weighted mean.",
        partial(draw_signal, inspection.samples, inspection.activations, title),
    )


def _spaces(inspection: Inspection) -> Picture:
    speakers = len(set(inspection.actors.tolist()))
    return picture(
        "spaces",
        "Sorting voices by emotion",
        f"Each point is one of {len(inspection.truth)} utterances of the {speakers} speakers of fold "
        f"{inspection.fold + 1}, whom this network has never heard; colour and shape tell the emotion. Above: the mean "
        "features that go in, in which emotions lie on top of each other. Below: the network's embedding, in which "
        "it should have moved equal emotions together. Both are flattened to the two directions in which the points "
        "differ most (principal components), so some that look close may not be. The percentage in the heading, "
        "measured before flattening, says how often the most similar utterance of anybody else was acted with the same "
        "emotion.",
        partial(
            draw_spaces,
            (("mean raw features", inspection.raw), ("embeddings of the network", inspection.embeddings)),
            inspection.truth,
            inspection.actors,
        ),
    )


def _reliability(run: RunResults) -> Picture:
    temperatures = []
    rows: dict[str, list[tuple[Floats, Any]]] = {"before": [], "after": []}
    for test, validation in zip(run.test, run.validation, strict=True):
        temperature = fit_temperature(validation.logits, run.truth[validation.index])
        temperatures.append(temperature)
        for name, divisor in (("before", 1.0), ("after", temperature)):
            confidence = posterior(test.logits, divisor).max(axis=1)
            rows[name].append((confidence, test.logits.argmax(axis=1) == run.truth[test.index]))
    before, after = (
        result_plots.reliability(np.concatenate([row[0] for row in pairs]), np.concatenate([row[1] for row in pairs]))
        for pairs in rows.values()
    )
    return picture(
        "reliability",
        "Whether its confidence can be believed",
        "Of all answers given with, say, 60 % confidence, 60 % should be right: then the points lie on the dotted "
        "line. Below it, the network is too sure; above it, not sure enough. Calibration divides the network's raw "
        "scores by a number, the temperature, which was chosen on other (validation) speakers; here it is one for all "
        "answers, what ships has one by how much was heard (see below). The error "
        "(expected calibration error) is the mean distance from the dotted line over all answers; the bars below "
        "show how often each confidence occurs. Recordings in which the gate found no utterance have no confidence.",
        partial(result_plots.draw_reliability, before, after, float(np.mean(temperatures))),
    )


def _robustness(run: RunResults) -> Picture:
    name, title = "robustness", "In noise, in a room, over the telephone"
    path = run.folder.path / "robustness.json"
    if not path.exists():
        return picture(name, title, "Robustness was not measured for this run: it has no robustness.json.", None)
    try:
        conditions = [
            Bar(
                str(row["title"]),
                float(row["uar"]["mean"]),
                float(row["uar"]["std"]),
                float(row["missed"]) + float(row["split"]),
            )
            for row in json.loads(path.read_text())["conditions"].values()
        ]
        if not conditions:
            raise ValueError("it holds no conditions")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SerError(f"{path}: is damaged ({error}); measure it again, or remove it") from error
    return picture(
        name,
        title,
        "Each bar is the accuracy on the same recordings of unheard speakers, changed as its name says: with noise "
        "added (the fewer decibels, the louder the noise), played in a room, made softer. The closer a bar is to the "
        "first one, the less the change matters. On the right is the share of recordings in which no utterance, or "
        "more than one, was found; these count as errors on the left.",
        partial(draw_robustness, conditions),
    )


def _sizes(run: RunResults, inspection: Inspection) -> Picture:
    scores = [uar(run.truth, one) for one in run.predicted]
    return picture(
        "sizes",
        "Accuracy against size",
        "Each point is a model: the further right, the larger it is (each step of the axis is ten times as large), "
        "the higher, the more it recognises. The published figures (arXiv 2606.03359) are from whole studio "
        "recordings, with settings chosen on the speakers they are measured on; the star is this run, which hears "
        "only what the gate cuts out and was set up on ten validation speakers. So the two do not measure quite the "
        "same, and a little of the distance between them is due to that.",
        partial(draw_sizes, inspection.parameters, float(np.mean(scores)), float(np.std(scores)), run.folder.variant),
    )
