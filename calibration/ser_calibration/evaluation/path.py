"""`ser-calibrate path`: measure the accuracy lost between a file and the daemon that captures it in real time."""

from __future__ import annotations

import math
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn, track
from rich.table import Table

from ser_calibration.rig.daemon_under_test import DaemonUnderTest, Stopped
from ser_calibration.rig.virtual_sound import PulseAudio, unavailable_reason
from ser_model import Model, Recognizer, read_audio
from ser_model.errors import SerError
from ser_model.labels import LABELS
from ser_model.training.commands import LICENCE, TRAINING_DATA
from ser_model.training.data.corpus import Corpus
from ser_model.training.files import write_json
from ser_model.training.folds.jobs import FOLDS
from ser_model.training.folds.run_folder import RunFolder
from ser_model.training.networks.export import export
from ser_model.training.scores import MISSED, Classes, uar
from ser_model.types import EmotionResult

SEED = 0
"""Seed whose networks are used."""


@dataclass(frozen=True, slots=True)
class Fold:
    """A network, and recordings of actors that it has not seen."""

    model: Path
    """NAME of the exported NAME.window.onnx and NAME.stream.onnx."""
    recordings: Classes
    """Indices of the recordings, in the order in which they are played."""


def measure_path(folder: Path, data: Path, recordings: int) -> None:
    """Play recordings to real daemons; print a comparison with the answers for the files; write RUN/path.json.

    Args:
        folder: output of `ser-model train`.
        data: the run's recordings.
        recordings: number of recordings, balanced over emotions and folds.

    Raises:
        SerError: no virtual microphone can be made here, or a folder isn't what is expected.
    """
    reason = unavailable_reason()
    if reason is not None:
        raise SerError(f"There can be no virtual microphone here: {reason}.")
    run = RunFolder.open(folder, SEED + 1)
    corpus = run.corpus(data)
    with tempfile.TemporaryDirectory(prefix="ser-path-") as temporary:
        folds = export_folds(run, draw_recordings(run, recordings), Path(temporary))
        from_file = classify_files(folds, corpus)
        live, samples_missing = classify_live(folds, corpus)
    result = compare(run.emotions, from_file, live) | {"samples_lost": samples_missing}
    write_json(folder / "path.json", result)
    _print_path(result)


def draw_recordings(run: RunFolder, count: int) -> list[Classes]:
    """Draw recordings, balanced over emotions and folds; the draw is reproducible.

    Returns:
        for each fold the indices, in random order
    """
    rng = np.random.default_rng(SEED)
    cells = [
        (fold, rng.permutation(index[run.emotions[index] == emotion]))
        for fold, (_, index) in enumerate(run.networks(SEED))
        for emotion in range(len(LABELS))
    ]
    order = []
    for row in range(max(len(indices) for _, indices in cells)):
        shuffled = [cells[number] for number in rng.permutation(len(cells))]
        order += [(fold, int(indices[row])) for fold, indices in shuffled if row < len(indices)]
    folds = [[index for owner, index in order[:count] if owner == fold] for fold in FOLDS]
    return [np.array(rng.permutation(one), dtype=np.int64) for one in folds]


def export_folds(run: RunFolder, recordings: Sequence[Classes], folder: Path) -> list[Fold]:
    """Export the network of every fold that has recordings; its threshold of `unknown` is 0."""
    folds = []
    networks = [network for network, _ in run.networks(SEED)]
    for number, (network, index) in enumerate(track(list(zip(networks, recordings, strict=True)), "exporting")):
        if not len(index):
            continue
        stem = folder / f"fold{number}"
        export(
            network,
            stem,
            variant=run.variant,
            temperature=1.0,
            unknown_below=0.0,
            training_data=TRAINING_DATA,
            licence=LICENCE,
        )
        folds.append(Fold(stem, index))
    return folds


def classify_files(folds: Sequence[Fold], corpus: Corpus) -> dict[int, int]:
    """Return the class of each recording, by the recognizer on the file."""
    answers = {}
    work = [(fold, int(index)) for fold in folds for index in fold.recordings]
    models = {fold.model: Model.load(fold.model) for fold in folds}
    for fold, index in track(work, "from the files"):
        recognizer = Recognizer(models[fold.model])
        results = recognizer.push(read_audio(corpus.recordings[index].path)) + recognizer.finish()
        tops = [result.top for result in results if isinstance(result, EmotionResult) and result.final]
        answers[index] = single_class(tops)
    return answers


def single_class(tops: Sequence[str]) -> int:
    """Return the class of the only final answer; MISSED if there is none, or several."""
    return LABELS.index(tops[0]) if len(tops) == 1 else MISSED


def classify_live(folds: Sequence[Fold], corpus: Corpus) -> tuple[dict[int, int], int]:
    """Play the recordings to one daemon for each fold, in real time and in parallel.

    Returns:
        the class of each recording, and the number of samples that the daemons did not get
    """
    columns = (TextColumn("through the daemon"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    stop = threading.Event()
    with Progress(*columns) as bar, PulseAudio() as sound, ThreadPoolExecutor(len(folds)) as threads:
        task = bar.add_task("", total=sum(len(fold.recordings) for fold in folds))
        players = [
            threads.submit(_play_fold, sound, f"mic{number}", fold, corpus, stop, lambda: bar.advance(task))
            for number, fold in enumerate(folds)
        ]
        try:
            wait(players, return_when="FIRST_EXCEPTION")
        finally:
            # One has failed, or Ctrl-C was pressed: stop the others.
            if not all(player.done() for player in players):
                stop.set()
    failures = [failure for player in players if (failure := player.exception()) and not isinstance(failure, Stopped)]
    if failures:
        raise failures[0]
    answers: dict[int, int] = {}
    for player in players:
        answers |= player.result()[0]
    return answers, sum(player.result()[1] for player in players)


def _play_fold(
    sound: PulseAudio, sink: str, fold: Fold, corpus: Corpus, stop: threading.Event, done: Callable[[], None]
) -> tuple[dict[int, int], int]:
    """Play the recordings of a fold to a daemon with its network; return as `classify_live`."""
    answers = {}
    with DaemonUnderTest(sound, sink, fold.model, stop) as daemon:
        for index in fold.recordings.tolist():
            finals = daemon.play(corpus.recordings[index].path)
            answers[index] = single_class([final.top or final.label for final in finals])
            done()
        return answers, daemon.samples_missing()


def compare(emotions: Classes, from_file: Mapping[int, int], live: Mapping[int, int]) -> dict[str, Any]:
    """Return paired figures over the same recordings.

    Args:
        emotions: of all recordings of the run.
        from_file: class by recording, by the recognizer on the file; MISSED counts as an error.
        live: class by recording, by the daemon.

    Returns:
        accuracy and UAR of both; the loss in points of accuracy with its standard error (of the difference of paired
        proportions, McNemar 1947); the share of equal classes
    """
    played = sorted(live)
    truth = emotions[played]
    predicted = {
        "file": np.array([from_file[index] for index in played], dtype=np.int64),
        "live": np.array([live[index] for index in played], dtype=np.int64),
    }
    gain = (predicted["live"] == truth).astype(float) - (predicted["file"] == truth)
    return {
        "recordings": len(played),
        **{
            source: {
                "accuracy": float(np.mean(classes == truth)),
                "uar": uar(truth, classes),
                "missed_or_split": int(np.sum(classes == MISSED)),
            }
            for source, classes in predicted.items()
        },
        "agreement": float(np.mean(predicted["file"] == predicted["live"])),
        "loss_points": 100 * float(0.0 - gain.mean()),
        "loss_points_error": 100 * float(gain.std()) / math.sqrt(len(played)),
        "right_only_in_file": int(np.sum(gain < 0)),
        "right_only_live": int(np.sum(gain > 0)),
    }


def _print_path(result: dict[str, Any]) -> None:
    table = Table(title=f"{result['recordings']} recordings of actors whom the networks have not heard, seed {SEED}")
    table.add_column("heard by")
    for title in ("accuracy", "UAR", "missed or split"):
        table.add_column(title, justify="right")
    for source, name in (("file", "recognizer, from the file"), ("live", "daemon, through the sound server")):
        row = result[source]
        table.add_row(name, f"{row['accuracy']:.3f}", f"{row['uar']:.3f}", str(row["missed_or_split"]))
    console = Console()
    console.print(table)
    console.print(
        f"Loss {result['loss_points']:.1f} ± {result['loss_points_error']:.1f} points of accuracy; the same answer for "
        f"{result['agreement']:.1%}; right only from the file {result['right_only_in_file']}, only through the daemon "
        f"{result['right_only_live']}; {result['samples_lost']} samples lost on the way."
    )
