"""`ser-model report`: a run's figures and pictures as one HTML page that loads nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path

from rich.progress import track

from ser_model.training.dataset import build
from ser_model.training.report_network import look
from ser_model.training.report_page import compose
from ser_model.training.report_pictures import makers
from ser_model.training.report_run import headline, open_finished


def report(folder: Path, data: Path, output: Path | None = None) -> Path:
    """Write OUTPUT/index.html, and beside it the PNG of each of its pictures.

    Args:
        folder: of the run.
        data: the recordings that it was trained on.
        output: folder to write to; None: `report` in the run's folder.

    Returns:
        the page

    Raises:
        SerError: no finished run, or other recordings.
    """
    run = open_finished(folder)
    dataset = build(run.folder.corpus(data), variants=0, noise=None, rooms=None, cache=folder.parent / "cache")
    view = look(run, dataset)
    pictures = [make() for make in track(makers(run, view), "drawing")]
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
    page.write_text(compose(title, headline(run, view.parameters), view.notes, pictures), encoding="utf-8")
    return page
