"""The page of a run on several corpora: what its networks answer for corpora and speakers they never heard."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

import numpy as np
from rich.progress import track

from ser_model.training.networks.architecture import VARIANTS, ResLstmSa
from ser_model.training.report import corpora_plots
from ser_model.training.report.corpora_figures import Acted, CorpusFigures, RunFigures
from ser_model.training.report.page import NETWORK, Picture, Report
from ser_model.training.report.result_plots import draw_confusion, picture

_INTRODUCTION: Final = (
    NETWORK,
    "Everything below comes from people that the answering network had not heard. For most of it, all recordings of "
    "a corpus are left out of the training and of the calibration: other people, other sentences, mostly another "
    "language and another studio. That is nearest to what happens in your home. UAR (unweighted average recall) is "
    "the share recognised, averaged over the emotions that a corpus has, so that each counts the same.",
)

_WEAKNESSES: Final = (
    "Acted speech: actors overplay. Everyday speech is mostly neutral, and less clear.",
    "Corpora differ in what they call angry or happy. Some of the errors are such differences.",
    "A handful of corpora is a small sample of the world's voices.",
    "Eight labels are not all feelings, and a label is not a feeling.",
)

_CONFUSION: Final = (
    "Recordings of {}, which the network never heard. Each row is an emotion that was acted, each column an answer, "
    "where “unknown” is not allowed; the number is how many of a hundred such recordings got that answer. Where a "
    "corpus has only one of neutral and calm, both count as that one. “Missed” is where no utterance, or more than "
    "one, was found."
)


def corpora_report(figures: RunFigures) -> Report:
    """Draw the page."""
    return Report(
        title=f"ResLSTM-SA {figures.variant}: what it hears in people it never heard",
        introduction=_INTRODUCTION,
        figures=_headline(figures),
        notes=_notes(figures),
        weaknesses=_WEAKNESSES,
        pictures=list(track(_pictures(figures), "drawing", total=5 + len(_acted(figures.left_out)))),
    )


def _acted(corpora: tuple[CorpusFigures, ...]) -> dict[str, Acted]:
    return {one.name: one.acted for one in corpora if one.acted is not None}


def _heard(figures: RunFigures) -> dict[str, Acted]:
    """Corpora that networks heard other speakers of."""
    return {name: one for name, one in _acted(figures.heard).items() if name not in figures.only_measured}


def _headline(figures: RunFigures) -> list[tuple[str, str]]:
    """Names and values of the metrics at the head."""
    parameters = sum(one.numel() for one in ResLstmSa(VARIANTS[figures.variant]).parameters())
    acted = list(_acted(figures.left_out).values())
    rows = [
        (
            "UAR, corpora never heard",
            _mean([one.uar for one in acted], "where guessing gives", [o.chance for o in acted]),
        )
    ]
    if heard := _heard(figures):
        rows.append(("UAR, new speakers of corpora heard", _mean([one.uar for one in heard.values()])))
    precision = [one.precision for one in acted if one.precision is not None]
    rows += [
        ("gets a label", _mean([one.labelled for one in acted])),
        ("labels that are right", _mean(precision) if precision else "no label was given"),
    ]
    if arousal := [one.arousal for one in acted if one.arousal is not None]:
        rows.append(("high and low arousal in the right order", _mean(arousal)))
    for one in figures.left_out:
        if one.ordinary is not None:
            share = f"{100 * one.ordinary.emotional:.1f} % of {one.ordinary.utterances} utterances"
            rows.append((f"labels of an emotion in {one.name}, where nobody acts", share))
    if figures.noise is not None:
        sounds, labelled = figures.noise
        rows.append(("an hour of noise", f"{sounds} sounds taken for speech, {labelled} of them with a label"))
    corpora = [
        f"{one.name} ({', '.join((*one.languages, f'{one.speakers} speakers', f'{one.recordings} recordings'))})"
        for one in figures.left_out
    ]
    return [
        *rows,
        ("seeds", f"{figures.seeds} for each corpus left out; ± is the standard deviation over seeds"),
        ("parameters", f"{parameters:,}"),
        ("corpora", "; ".join(corpora)),
    ]


def _mean(values: list[float], words: str = "", others: list[float] | None = None) -> str:
    if not values:
        return "not measured"
    rest = f", {words} {100 * float(np.mean(others)):.1f} %" if others else ""
    return f"{100 * float(np.mean(values)):.1f} % in the mean of {len(values)} corpora{rest}"


def _notes(figures: RunFigures) -> list[str]:
    notes = []
    if not figures.fitted:
        notes.append(
            "No temperature and no threshold is fitted yet, so every utterance gets a label. `ser-calibrate "
            "cross-corpus` fits them; then draw this page again."
        )
    if figures.only_measured:
        names = " and ".join(figures.only_measured)
        notes.append(f"No network of this run learned from {names}, not even the one that is exported.")
    return notes


def _pictures(figures: RunFigures) -> Iterator[Picture]:
    left_out, heard = _acted(figures.left_out), _heard(figures)
    yield picture(
        "accuracy",
        "How much it recognises of strangers",
        "Each bar is one corpus that the answering network never heard. The short line is what guessing would give, "
        "which depends on how many emotions the corpus has. A diamond, where there is one, is the result for new "
        "speakers of a corpus that the network did hear: the distance from bar to diamond is what a new language, "
        "studio or way of acting costs. Recordings in which no utterance, or more than one, was found are errors.",
        partial(corpora_plots.draw_accuracy, left_out, heard),
    )
    yield picture(
        "answers",
        "How often it says something, and how often that is right",
        "Above, the label of the emotion; below, whether a voice is of high or low activation. The bar is the share "
        "of recordings that get an answer; for the others the network says “unknown”. The dot is the share of these "
        "answers that is right. A short bar with a dot far to the right is a network that knows when not to speak.",
        partial(corpora_plots.draw_answers, left_out),
    )
    caption = _CONFUSION
    for name, one in left_out.items():
        title = f"What it takes for what: {name}"
        yield picture(f"confusion-{name}", title, caption.format(name), partial(draw_confusion, one.confusion))
        caption = "The same for {}."
    yield _groups(left_out)
    yield _adaptation(figures)
    yield _conditions(figures)


def _groups(left_out: dict[str, Acted]) -> Picture:
    name, title = "groups", "For whom it works better, and for whom worse"
    if not any(one.groups for one in left_out.values()):
        return picture(name, title, "No corpus says of its speakers what their sex and age are.", None)
    return picture(
        name,
        title,
        "The same accuracy for the women and men, and the ages, of the corpora that know them. Groups of a few "
        "speakers differ by chance; a difference that appears in several corpora is one to take seriously.",
        partial(corpora_plots.draw_groups, left_out),
    )


def _adaptation(figures: RunFigures) -> Picture:
    name, title = "adaptation", "What adaptation to a voice changes"
    if not figures.adaptation:
        return picture(name, title, "Adaptation was not measured (`ser-calibrate cross-corpus`).", None)
    return picture(
        name,
        title,
        "The daemon learns how a voice usually sounds, and counts from there. Each light dot is the change for one "
        "corpus that was never heard; to the right of the dotted line it helps. The rows differ in what a person says "
        "first: all emotions mixed, mostly neutral, only one emotion, or somebody else speaks first.",
        partial(corpora_plots.draw_adaptation, figures.adaptation),
    )


def _conditions(figures: RunFigures) -> Picture:
    name, title = "robustness", "In noise, in a room, over the telephone"
    if not figures.conditions:
        return picture(name, title, "Robustness was not measured (`ser-model robustness`).", None)
    return picture(
        name,
        title,
        "Each bar is the accuracy on the same recordings of corpora never heard, changed as its name says: with noise "
        "added (the fewer decibels, the louder the noise), played in a room, made softer. The closer a bar is to the "
        "first one, the less the change matters. On the right is the share of recordings in which no utterance, or "
        "more than one, was found; these count as errors on the left.",
        partial(corpora_plots.draw_conditions, figures.conditions),
    )
