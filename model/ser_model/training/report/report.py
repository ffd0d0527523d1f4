"""`ser-model report`: metrics and pictures of a run as one HTML page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.progress import track

from ser_model.errors import SerError
from ser_model.training.calibration_files import PRECISION
from ser_model.training.corpora.corpora_run import is_corpora_run
from ser_model.training.data.corpus import NEVER_VALIDATING
from ser_model.training.data.dataset import build
from ser_model.training.folds.run_results import RunResults, coverage_and_precision, open_results
from ser_model.training.report.activations import inspect_network
from ser_model.training.report.page import compose
from ser_model.training.report.sections import makers
from ser_model.training.scores import uar


def report(folder: Path, data: Path, output: Path | None = None) -> Path:
    """Write OUTPUT/index.html, and the PNG file of each of its pictures.

    Args:
        folder: the folder of the run.
        data: the recordings of the run.
        output: folder to write to; `None`: `report` in the folder of the run.

    Returns:
        path of the page

    Raises:
        SerError: The run is not finished or is one on several corpora, or the recordings are others.
    """
    if is_corpora_run(folder):
        raise SerError(
            f"{folder}: is a run on several corpora, and a page can be made only of `ser-model train --data`; "
            "the command that trained it, given again, prints its tables"
        )
    run = open_results(folder)
    dataset = build(run.folder.corpus(data), cache=folder.parent / "cache")
    inspection = inspect_network(run, dataset)
    pictures = [make() for make in track(makers(run, inspection), "drawing")]
    output = output or folder / "report"
    output.mkdir(parents=True, exist_ok=True)
    for picture in pictures:
        path = output / f"{picture.name}.png"
        if picture.png is None:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(picture.png)
    page = output / "index.html"
    title = f"ResLSTM-SA {run.folder.variant}: what it hears, and what it doesn't"
    page.write_text(compose(title, headline(run, inspection.parameters), inspection.notes, pictures), encoding="utf-8")
    return page


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
