"""`ser-model report`: metrics and pictures of a run as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from rich.progress import track

from ser_model.errors import SerError
from ser_model.training.calibration_files import PRECISION
from ser_model.training.corpora.corpora_run import is_corpora_run
from ser_model.training.data.corpus import NEVER_VALIDATING
from ser_model.training.data.dataset import build
from ser_model.training.folds.run_results import RunResults, coverage_and_precision, open_results
from ser_model.training.report.activations import inspect_network
from ser_model.training.report.corpora_figures import read_figures
from ser_model.training.report.corpora_report import corpora_report
from ser_model.training.report.page import NETWORK, Report, write_report
from ser_model.training.report.sections import makers
from ser_model.training.scores import uar

_INTRODUCTION: Final = (
    NETWORK,
    "Everything below comes from speakers that the answering network had not heard: the 24 actors are divided into "
    "five groups, and the answers for each group come from networks trained without it. UAR (unweighted average "
    "recall) is the share recognised, averaged over the emotions, so that each counts the same; guessing gives 12.5 %.",
)

_WEAKNESSES: Final = (
    "Acted speech: professional actors overplay. Everyday speech is mostly neutral, and less clear.",
    "Two sentences in North American English, from one studio; other languages, accents, ages and rooms are untested.",
    "24 voices, all adult: what is said here about a new voice rests on 24 examples.",
    "Eight labels are not all feelings, and a label is not a feeling.",
    "Neighbouring emotions (calm, neutral and sad; happy, fearful and surprised) are often taken for each other.",
)


def report(folder: Path, data: Path | None, output: Path | None = None) -> Path:
    """Write OUTPUT/index.html, and the PNG file of each of its pictures.

    Args:
        folder: the folder of the run.
        data: the recordings of the run. `None` for a run on several corpora, whose figures are all in its folder.
        output: folder to write to; `None`: `report` in the folder of the run.

    Returns:
        path of the page

    Raises:
        SerError: The run is not finished or not measured, or the recordings are missing, others, or not wanted.
    """
    if is_corpora_run(folder):
        if data is not None:
            raise SerError(f"--data {data}: {folder} is a run on several corpora, whose page needs no recordings")
        return write_report(corpora_report(read_figures(folder)), output or folder / "report")
    run = open_results(folder)
    if data is None:
        raise SerError(f"{folder}: is a run on RAVDESS, and its pictures need the recordings; name them with --data")
    return write_report(_ravdess_report(run, data), output or folder / "report")


def _ravdess_report(run: RunResults, data: Path) -> Report:
    dataset = build(run.folder.corpus(data), cache=run.folder.path.parent / "cache")
    inspection = inspect_network(run, dataset)
    return Report(
        title=f"ResLSTM-SA {run.folder.variant}: what it hears, and what it doesn't",
        introduction=_INTRODUCTION,
        figures=headline(run, inspection.parameters),
        notes=inspection.notes,
        weaknesses=_WEAKNESSES,
        pictures=[make() for make in track(makers(run, inspection), "drawing")],
    )


def headline(run: RunResults, parameters: int) -> list[tuple[str, str]]:
    """Names and values of the metrics at the head of a report."""
    never = np.isin(run.folder.actors, list(NEVER_VALIDATING))
    rows = [
        (f"UAR, all {len(set(run.folder.actors.tolist()))} actors", [uar(run.truth, one) for one in run.predicted]),
        ("UAR, the 14 actors that chose no setting", [uar(run.truth[never], one[never]) for one in run.predicted]),
    ]
    chosen = [coverage_and_precision(run, *pair) for pair in zip(run.test, run.validation, strict=True)]
    coverage, precision = np.mean(chosen, axis=0)
    missed = len(run.truth) - len(run.test[0].index)
    return [
        *((name, f"{np.mean(values):.4f} ± {np.std(values):.4f}") for name, values in rows),
        ("seeds", f"{len(run.seeds)} (each trains ten networks; ± is the standard deviation over seeds)"),
        ("parameters", f"{parameters:,}"),
        ("recordings", f"{len(run.truth)}, of which the gate misses or splits {missed}: counted as errors"),
        (
            "when it may say “unknown”",
            f"it labels {100 * coverage:.0f} % of the recordings, and {100 * precision:.0f} % of these rightly "
            f"(threshold chosen on validation actors, for {100 * PRECISION:.0f} %)",
        ),
    ]
