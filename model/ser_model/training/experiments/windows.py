"""`ser-model windows`: the accuracy of single rolling windows, as the live path evaluates them for partial results."""

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
from ser_model.training.networks.inference import predict
from ser_model.training.scores import MISSED, Classes, posterior
from ser_model.types import Frames

WINDOWS_MS: Final = (1_000, 2_000, 4_000)
"""Lengths that are measured in addition to that of the live path."""


@dataclass(frozen=True, slots=True)
class WindowSet:
    """All windows of one length. Every window of a recording that the gate missed or split counts as an error."""

    owner: npt.NDArray[np.int64]
    """Index of the recording of each window, shape (windows,)."""
    full: npt.NDArray[np.bool_]
    """Whether the window has its full length."""
    valid: npt.NDArray[np.bool_]
    """Whether the gate found exactly one utterance in the recording."""
    frames: list[Frames]


def collect(dataset: Dataset, window_ms: int) -> WindowSet:
    """Cut windows from all recordings; a recording without an utterance counts as one empty window."""
    owner, full, windows = [], [], []
    for index, versions in enumerate(dataset.frames):
        pieces = cut_windows(versions[0], window_ms, update_ends(len(versions[0]))) if versions else []
        pieces = pieces or [np.zeros((0, 0), dtype=np.float32)]
        owner += [index] * len(pieces)
        full += [len(piece) == window_frames(window_ms) for piece in pieces]
        windows += pieces
    found = dataset.utterances[owner]
    some = np.array([len(window) > 0 for window in windows])
    return WindowSet(np.array(owner), np.array(full), (found == 1) & some, windows)


def measure_windows(run: RunFolder, dataset: Dataset) -> None:
    """Print the accuracy of the test networks window by window, and write RUN/windows.json.

    Args:
        run: the run.
        dataset: clean frames of its recordings.
    """
    lengths = sorted({*WINDOWS_MS, DecisionConfig().window_ms})
    rows = [measure(run, collect(dataset, length), length) for length in track(lengths, "windows")]
    whole = [_predict_utterances(run, dataset, seed) for seed in run.seeds]
    result = {
        "recordings": len(run.names),
        "seeds": list(run.seeds),
        "update_ms": DecisionConfig().update_ms,
        "windows": rows,
        "whole_utterance": uar_metrics(run.emotions, run.actors, whole),
    }
    write_json(run.path / "windows.json", result)
    _print(result)


def measure(run: RunFolder, windows: WindowSet, window_ms: int) -> Metrics:
    """Metrics of one length: all windows, windows of full length, and utterances by the mean of their windows."""
    truth, actors = run.emotions[windows.owner], run.actors[windows.owner]
    single, averaged = [], []
    for seed in run.seeds:
        classes, mean = _predict(run, windows, seed)
        single.append(classes)
        averaged.append(mean)
    full = windows.full
    # There is none if the utterances are too short.
    some = bool(np.isin(actors[full], list(NEVER_VALIDATING)).any())
    return {
        "window_ms": window_ms,
        "windows": len(truth),
        "full_windows": int(full.sum()),
        "every_window": uar_metrics(truth, actors, single),
        "full_length": uar_metrics(truth[full], actors[full], [one[full] for one in single]) if some else None,
        "mean_of_utterance": uar_metrics(run.emotions, run.actors, averaged),
    }


def _predict(run: RunFolder, windows: WindowSet, seed: int) -> tuple[Classes, Classes]:
    """Classes of all windows, and of all recordings by the mean posterior over their windows."""
    single = np.full(len(windows.owner), MISSED, dtype=np.int64)
    averaged = np.full(len(run.names), MISSED, dtype=np.int64)
    for network, index in run.networks(seed):
        chosen = np.flatnonzero(np.isin(windows.owner, index) & windows.valid)
        probabilities = posterior(predict(network, [windows.frames[at] for at in chosen]))
        single[chosen] = probabilities.argmax(axis=1)
        sums = np.zeros((len(run.names), probabilities.shape[1]))
        np.add.at(sums, windows.owner[chosen], probabilities)
        recordings = np.unique(windows.owner[chosen])
        averaged[recordings] = sums[recordings].argmax(axis=1)
    return single, averaged


def _predict_utterances(run: RunFolder, dataset: Dataset, seed: int) -> Classes:
    """Classes by the running state at the end of every utterance."""
    classes = np.full(len(run.names), MISSED, dtype=np.int64)
    for network, index in run.networks(seed):
        single = index[dataset.utterances[index] == 1]
        classes[single] = predict(network, [dataset.frames[at][0] for at in single]).argmax(axis=1)
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
