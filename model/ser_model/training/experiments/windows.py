"""How good single rolling windows are, as the partial answers of the live path judge them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ser_model.config import DecisionConfig
from ser_model.training.data.corpus import NEVER_VALIDATING
from ser_model.training.data.dataset import Dataset
from ser_model.training.data.windowing import cut_windows, update_ends, window_frames
from ser_model.training.files import write_json
from ser_model.training.folds.metrics import Metrics, format_metric, uar_metrics
from ser_model.training.folds.run_folder import RunFolder
from ser_model.training.networks.fit import predict
from ser_model.training.scores import MISSED, Classes, posterior
from ser_model.types import Frames

WINDOWS_MS: Final = (1_000, 2_000, 4_000)
"""Lengths that are measured, beside the live path's own."""


@dataclass(frozen=True, slots=True)
class Items:
    """All windows of one length; a recording that was missed or split has only windows that count as errors."""

    owner: npt.NDArray[np.int64]
    """Index of the window's recording, shape (windows,)."""
    full: npt.NDArray[np.bool_]
    """Whether the window has its whole length."""
    judged: npt.NDArray[np.bool_]
    """Whether its recording was heard as one utterance."""
    windows: list[Frames]


def collect(dataset: Dataset, window_ms: int) -> Items:
    """Cut all recordings; one that the gate missed altogether stands for one window."""
    owner, full, windows = [], [], []
    for index, versions in enumerate(dataset.frames):
        pieces = cut_windows(versions[0], window_ms, update_ends(len(versions[0]))) if versions else []
        pieces = pieces or [np.zeros((0, 0), dtype=np.float32)]
        owner += [index] * len(pieces)
        full += [len(piece) == window_frames(window_ms) for piece in pieces]
        windows += pieces
    found = dataset.utterances[owner]
    some = np.array([len(window) > 0 for window in windows])
    return Items(np.array(owner), np.array(full), (found == 1) & some, windows)


def windows(run: RunFolder, dataset: Dataset) -> None:
    """Print how right a run's test networks are window by window, and write RUN/windows.json.

    Args:
        run: whose networks answer.
        dataset: clean frames of the run's recordings.
    """
    lengths = sorted({*WINDOWS_MS, DecisionConfig().window_ms})
    rows = [measure(run, collect(dataset, length), length) for length in track(lengths, "windows")]
    whole = [_whole(run, dataset, seed) for seed in run.seeds]
    result = {
        "recordings": len(run.names),
        "seeds": list(run.seeds),
        "update_ms": DecisionConfig().update_ms,
        "windows": rows,
        "whole_utterance": uar_metrics(run.emotions, run.actors, whole),
    }
    write_json(run.path / "windows.json", result)
    _print(result)


def measure(run: RunFolder, items: Items, window_ms: int) -> Metrics:
    """Metrics of one length: every window, those of full length, and utterances by the mean of their windows."""
    truth, actors = run.emotions[items.owner], run.actors[items.owner]
    single, averaged = [], []
    for seed in run.seeds:
        classes, mean = _answer(run, items, seed)
        single.append(classes)
        averaged.append(mean)
    full = items.full
    # Where hardly any utterance is so long there may be nothing to take a mean of.
    some = bool(np.isin(actors[full], list(NEVER_VALIDATING)).any())
    return {
        "window_ms": window_ms,
        "windows": len(truth),
        "full_windows": int(full.sum()),
        "every_window": uar_metrics(truth, actors, single),
        "full_length": uar_metrics(truth[full], actors[full], [one[full] for one in single]) if some else None,
        "mean_of_utterance": uar_metrics(run.emotions, run.actors, averaged),
    }


def _answer(run: RunFolder, items: Items, seed: int) -> tuple[Classes, Classes]:
    """Classes of all windows, and of all recordings by the mean posterior over their windows."""
    single = np.full(len(items.owner), MISSED, dtype=np.int64)
    averaged = np.full(len(run.names), MISSED, dtype=np.int64)
    for network, index in run.networks(seed):
        judged = np.flatnonzero(np.isin(items.owner, index) & items.judged)
        probabilities = posterior(predict(network, [items.windows[at] for at in judged]))
        single[judged] = probabilities.argmax(axis=1)
        sums = np.zeros((len(run.names), probabilities.shape[1]))
        np.add.at(sums, items.owner[judged], probabilities)
        heard = np.unique(items.owner[judged])
        averaged[heard] = sums[heard].argmax(axis=1)
    return single, averaged


def _whole(run: RunFolder, dataset: Dataset, seed: int) -> Classes:
    """What the running state says at the end of every utterance."""
    classes = np.full(len(run.names), MISSED, dtype=np.int64)
    for network, index in run.networks(seed):
        heard = index[dataset.utterances[index] == 1]
        classes[heard] = predict(network, [dataset.frames[at][0] for at in heard]).argmax(axis=1)
    return classes


def _print(result: Metrics) -> None:
    table = Table(
        title=f"UAR of rolling windows every {result['update_ms']} ms, test actors, {len(result['seeds'])} seed(s)"
    )
    table.add_column("judged")
    for title in (
        "windows (full)",
        "each, 24 actors",
        "each, 14 actors",
        "those of full length",
        "utterance, by their mean",
    ):
        table.add_column(title, justify="right")
    for row in result["windows"]:
        table.add_row(
            f"{row['window_ms'] / 1000:g} s",
            f"{row['windows']} ({row['full_windows']})",
            format_metric(row["every_window"]["uar"]),
            format_metric(row["every_window"]["uar_14_actors"]),
            format_metric(row["full_length"]["uar"]) if row["full_length"] else "none",
            format_metric(row["mean_of_utterance"]["uar"]),
        )
    whole = result["whole_utterance"]
    table.add_section()
    table.add_row(
        "running state, at the end", "", "", format_metric(whole["uar_14_actors"]), "", format_metric(whole["uar"])
    )
    Console().print(table)
