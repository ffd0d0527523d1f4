"""What the way through sound server, daemon and socket costs in accuracy, against the same network on the file."""

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
from ser_calibration.rig.virtual_sound import PulseAudio, missing
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
"""Whose networks are used."""


@dataclass(frozen=True, slots=True)
class Fold:
    """What one daemon hears: recordings of actors whom its network has not heard."""

    model: Path
    chosen: Classes
    """Indices of the recordings, in the order in which they are played."""


def measure_path(folder: Path, data: Path, recordings: int) -> None:
    """Play recordings to real daemons; print how their answers compare with those on the files; write RUN/path.json.

    Args:
        folder: output of `ser-model train`.
        data: the run's recordings.
        recordings: how many are played, balanced over emotions and folds.

    Raises:
        SerError: there can be no virtual microphone here, or a folder isn't what is expected.
    """
    reason = missing()
    if reason is not None:
        raise SerError(f"There can be no virtual microphone here: {reason}.")
    run = RunFolder.open(folder, SEED + 1)
    corpus = run.corpus(data)
    with tempfile.TemporaryDirectory(prefix="ser-path-") as temporary:
        folds = export_folds(run, choose(run, recordings), Path(temporary))
        from_file = hear_files(folds, corpus)
        live, lost = play(folds, corpus)
    result = compare(run.emotions, from_file, live) | {"samples_lost": lost}
    write_json(folder / "path.json", result)
    _print(result)


def choose(run: RunFolder, count: int) -> list[Classes]:
    """Draw recordings for each fold: as many of every emotion and fold as there are, always the same.

    Returns:
        for each fold the indices, in an order in which emotions and actors mix
    """
    rng = np.random.default_rng(SEED)
    decks = [
        (fold, rng.permutation(index[run.emotions[index] == emotion]))
        for fold, (_, index) in enumerate(run.networks(SEED))
        for emotion in range(len(LABELS))
    ]
    rounds = max(len(deck) for _, deck in decks)
    order = []
    for at in range(rounds):
        shuffled = [decks[cell] for cell in rng.permutation(len(decks))]
        order += [(fold, int(deck[at])) for fold, deck in shuffled if at < len(deck)]
    folds = [[index for owner, index in order[:count] if owner == fold] for fold in FOLDS]
    return [np.array(rng.permutation(one), dtype=np.int64) for one in folds]


def export_folds(run: RunFolder, chosen: Sequence[Classes], folder: Path) -> list[Fold]:
    """Write the network of every fold as the daemon loads it; nothing is `unknown` for want of confidence."""
    folds = []
    networks = [network for network, _ in run.networks(SEED)]
    for number, (network, index) in enumerate(track(list(zip(networks, chosen, strict=True)), "exporting")):
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


def hear_files(folds: Sequence[Fold], corpus: Corpus) -> dict[int, int]:
    """What each network says about its recordings when the recognizer reads the files: class by recording."""
    answers = {}
    work = [(fold, int(index)) for fold in folds for index in fold.chosen]
    models = {fold.model: Model.load(fold.model) for fold in folds}
    for fold, index in track(work, "from the files"):
        recognizer = Recognizer(models[fold.model])
        results = recognizer.push(read_audio(corpus.recordings[index].path)) + recognizer.finish()
        tops = [result.top for result in results if isinstance(result, EmotionResult) and result.final]
        answers[index] = only(tops)
    return answers


def only(tops: Sequence[str]) -> int:
    """Class of the one final answer; MISSED where there is none, or several."""
    return LABELS.index(tops[0]) if len(tops) == 1 else MISSED


def play(folds: Sequence[Fold], corpus: Corpus) -> tuple[dict[int, int], int]:
    """What daemons say when the recordings are played to them, all folds at once in real time.

    Returns:
        class by recording, and how many samples the daemons didn't get from the sound server
    """
    columns = (TextColumn("through the daemon"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    stop = threading.Event()
    with Progress(*columns) as bar, PulseAudio() as sound, ThreadPoolExecutor(len(folds)) as threads:
        task = bar.add_task("", total=sum(len(fold.chosen) for fold in folds))
        lanes = [
            threads.submit(_lane, sound, f"mic{number}", fold, corpus, stop, lambda: bar.advance(task))
            for number, fold in enumerate(folds)
        ]
        try:
            wait(lanes, return_when="FIRST_EXCEPTION")
        finally:
            # All have ended, or one has failed, or Ctrl-C: the others need not go on.
            if not all(lane.done() for lane in lanes):
                stop.set()
    failures = [failure for lane in lanes if (failure := lane.exception()) and not isinstance(failure, Stopped)]
    if failures:
        raise failures[0]
    answers: dict[int, int] = {}
    for lane in lanes:
        answers |= lane.result()[0]
    return answers, sum(lane.result()[1] for lane in lanes)


def _lane(
    sound: PulseAudio, sink: str, fold: Fold, corpus: Corpus, stop: threading.Event, done: Callable[[], None]
) -> tuple[dict[int, int], int]:
    """Play a fold's recordings one after the other to a daemon with its network."""
    answers = {}
    with DaemonUnderTest(sound, sink, fold.model, stop) as listener:
        for index in fold.chosen.tolist():
            finals = listener.hear(corpus.recordings[index].path)
            answers[index] = only([final.top or final.label for final in finals])
            done()
        return answers, listener.lost()


def compare(emotions: Classes, from_file: Mapping[int, int], live: Mapping[int, int]) -> dict[str, Any]:
    """Paired figures of both ways over the same recordings.

    Args:
        emotions: of all recordings of the run.
        from_file: class by recording, as the recognizer hears the file; MISSED counts as an error.
        live: class by recording, as the daemon hears it.

    Returns:
        accuracy and UAR of both ways, the loss in points of accuracy with its standard error (of the
        difference of paired proportions, McNemar 1947), and how often both say the same
    """
    played = sorted(live)
    truth = emotions[played]
    ways = {
        "file": np.array([from_file[index] for index in played], dtype=np.int64),
        "live": np.array([live[index] for index in played], dtype=np.int64),
    }
    gain = (ways["live"] == truth).astype(float) - (ways["file"] == truth)
    return {
        "recordings": len(played),
        **{
            way: {
                "accuracy": float(np.mean(classes == truth)),
                "uar": uar(truth, classes),
                "missed_or_split": int(np.sum(classes == MISSED)),
            }
            for way, classes in ways.items()
        },
        "agreement": float(np.mean(ways["file"] == ways["live"])),
        "loss_points": 100 * float(0.0 - gain.mean()),
        "loss_points_error": 100 * float(gain.std()) / math.sqrt(len(played)),
        "right_only_in_file": int(np.sum(gain < 0)),
        "right_only_live": int(np.sum(gain > 0)),
    }


def _print(result: dict[str, Any]) -> None:
    table = Table(title=f"{result['recordings']} recordings of actors whom the networks have not heard, seed {SEED}")
    table.add_column("heard by")
    for title in ("accuracy", "UAR", "missed or split"):
        table.add_column(title, justify="right")
    for way, said in (("file", "recognizer, from the file"), ("live", "daemon, through the sound server")):
        row = result[way]
        table.add_row(said, f"{row['accuracy']:.3f}", f"{row['uar']:.3f}", str(row["missed_or_split"]))
    console = Console()
    console.print(table)
    console.print(
        f"Loss {result['loss_points']:.1f} ± {result['loss_points_error']:.1f} points of accuracy; the same answer for "
        f"{result['agreement']:.1%}; right only from the file {result['right_only_in_file']}, only through the daemon "
        f"{result['right_only_live']}; {result['samples_lost']} samples lost on the way."
    )
