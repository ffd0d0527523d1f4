"""`ser-calibrate smoothing`: compare the label changes and the delay of smoothed partial answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ser_calibration.evaluation.run_data import RunSource
from ser_calibration.evaluation.temperatures import fit_temperatures
from ser_model.config import DecisionConfig
from ser_model.scoring.smoothing import Smoother
from ser_model.training.data.corpus import TEST_ACTORS, VALIDATION_ACTORS
from ser_model.training.data.dataset import Dataset
from ser_model.training.data.windowing import cut_windows, update_ends
from ser_model.training.experiments.long_speech import Track, make_tracks, segment_corpus
from ser_model.training.files import write_json
from ser_model.training.folds.jobs import FOLDS, Split
from ser_model.training.folds.predictions import Predictions
from ser_model.training.folds.run_folder import RunFolder
from ser_model.training.networks.architecture import ResLstmSa
from ser_model.training.networks.inference import infer
from ser_model.training.scores import Classes, posterior

SmootherSettings = tuple[float, float, int]
"""Weight, margin and updates, as `ser_model.scoring.smoothing.Smoother` takes them."""

SETTINGS: Final[dict[str, SmootherSettings]] = {
    "none": (0.0, 0.0, 1),
    **{f"exponential {weight}": (weight, 0.0, 1) for weight in (0.3, 0.5, 0.7, 0.8, 0.9)},
    **{f"margin {margin}": (0.0, margin, 1) for margin in (0.1, 0.2, 0.3)},
    **{f"{updates} updates": (0.0, 0.0, updates) for updates in (2, 3)},
    **{
        f"exponential {weight}, margin {margin}": (weight, margin, 1) for weight in (0.5, 0.7) for margin in (0.05, 0.1)
    },
    "exponential 0.5, 2 updates": (0.5, 0.0, 2),
}

KINDS: Final = ("utterances", "changing")
"""Single utterances, and tracks of one actor's utterances with changing emotions."""


@dataclass(frozen=True, slots=True)
class ScoredTrack:
    """The scores of a track, update by update."""

    scores: npt.NDArray[np.float64]
    """Shape (updates, 8)."""
    truth: Classes
    """Emotion of the current utterance, shape (updates,)."""
    utterance: Classes
    """Number of the current utterance, shape (updates,)."""


def measure_smoothing(source: RunSource) -> None:
    """Print label changes against delay for all settings; write RUN/smoothing.json.

    Raises:
        SerError: a folder isn't what is expected.
    """
    run, corpus, dataset = source.load()
    tracks = {
        "utterances": single_utterances(run, dataset),
        "changing": [one for one in make_tracks(run, segment_corpus(corpus, source.workers)) if one.changing],
    }
    figures: dict[str, dict[str, Any]] = {}
    splits: tuple[Split, ...] = ("validation", "test")
    for split in splits:
        figures[split] = {}
        for kind in KINDS:
            scored = [
                one
                for seed in track(run.seeds, f"{split}, {kind}")
                for one in score_tracks(run, tracks[kind], seed, split)
            ]
            figures[split][kind] = {name: measure(scored, settings) for name, settings in SETTINGS.items()}
    best = choose(figures["validation"])
    config = DecisionConfig()
    result = {
        "seeds": list(run.seeds),
        "update_ms": config.update_ms,
        "window_ms": config.window_ms,
        "best": best,
        **figures,
    }
    write_json(source.folder / "smoothing.json", result)
    _print_smoothing(result)


def single_utterances(run: RunFolder, dataset: Dataset) -> list[Track]:
    """Return a track for every recording in which the gate found exactly one utterance."""
    tracks = []
    for index in np.flatnonzero(dataset.utterances == 1).tolist():
        frames, voiced = dataset.frames[index][0], dataset.voiced[index]
        tracks.append(Track(int(run.actors[index]), False, frames, voiced, (len(frames),), (int(run.emotions[index]),)))
    return tracks


def score_tracks(run: RunFolder, tracks: Sequence[Track], seed: int, split: Split) -> list[ScoredTrack]:
    """Score the tracks of each fold's actors with the networks of one seed.

    The two temperatures are fitted on the same predictions; they are equal for all settings.
    """
    rows: list[tuple[Track, npt.NDArray[np.float32], list[int]]] = []
    for fold in FOLDS:
        actors = (TEST_ACTORS if split == "test" else VALIDATION_ACTORS)[fold]
        rows += _infer_updates(run.network(seed, fold, split), [one for one in tracks if one.actor in actors])
    utterances = [np.array([_utterance(one, end) for end in ends], dtype=np.int64) for one, _, ends in rows]
    truths = [np.array(one.emotions)[numbers] for (one, _, _), numbers in zip(rows, utterances, strict=True)]
    voiced = [one.voiced[np.array(ends) - 1] for one, _, ends in rows]
    joined = np.concatenate([logits for _, logits, _ in rows])
    no_embeddings = np.zeros((len(joined), 0), dtype=np.float32)
    predictions = Predictions(np.arange(len(joined)), joined, no_embeddings, np.concatenate(voiced))
    temperature = fit_temperatures([predictions], np.concatenate(truths))
    columns = zip(rows, truths, utterances, voiced, strict=True)
    return [
        ScoredTrack(posterior(logits, temperature.after(samples)), truth, numbers)
        for (_, logits, _), truth, numbers, samples in columns
    ]


def _infer_updates(
    network: ResLstmSa, tracks: Sequence[Track]
) -> list[tuple[Track, npt.NDArray[np.float32], list[int]]]:
    """Return for each track with at least one update its logits, and the number of frames before each update."""
    updates = [update_ends(len(one.frames)) for one in tracks]
    window_ms = DecisionConfig().window_ms
    windows = [cut_windows(one.frames, window_ms, ends) for one, ends in zip(tracks, updates, strict=True)]
    logits, _ = infer(network, [window for some in windows for window in some])
    parts = np.split(logits, np.cumsum([len(some) for some in windows])[:-1])
    return [row for row in zip(tracks, parts, updates, strict=True) if row[2]]


def _utterance(one: Track, end: int) -> int:
    """Return the number of the utterance that contains the last of the first `end` frames."""
    return min(int(np.searchsorted(one.ends, end)), len(one.ends) - 1)


def measure(tracks: Sequence[ScoredTrack], settings: SmootherSettings) -> dict[str, float]:
    """Return the figures of smoothed labels.

    Args:
        tracks: the scores.
        settings: of the smoother.

    Returns:
        `changes`: label changes per second of speech; `needed`: the same of the truth; `delay`: mean seconds from the
        first update of an utterance to the first right label, or to its end if there is none; `reached`: share of
        utterances with a right label; `right`: share of updates with the right label
    """
    step = DecisionConfig().update_ms / 1000
    changes = needed = updates = right = 0
    delays: list[float] = []
    reached: list[bool] = []
    for one in tracks:
        smoother = Smoother(*settings)
        labels = np.array([smoother.push(scores)[1] for scores in one.scores])
        changes += int(np.sum(labels[1:] != labels[:-1]))
        needed += int(np.sum(one.truth[1:] != one.truth[:-1]))
        updates += len(labels)
        hits = labels == one.truth
        right += int(hits.sum())
        for utterance in np.unique(one.utterance):
            own = hits[one.utterance == utterance]
            reached.append(bool(own.any()))
            delays.append(step * float(own.argmax() if own.any() else len(own)))
    return {
        "changes": changes / (updates * step),
        "needed": needed / (updates * step),
        "delay": float(np.mean(delays)),
        "reached": float(np.mean(reached)),
        "right": right / updates,
    }


def choose(figures: dict[str, dict[str, dict[str, float]]]) -> str:
    """Return the settings with the fewest changes among those within one point of the best share of right labels.

    Both figures are means over both kinds of tracks.
    """
    right = {name: np.mean([figures[kind][name]["right"] for kind in KINDS]) for name in SETTINGS}
    changes = {name: np.mean([figures[kind][name]["changes"] for kind in KINDS]) for name in SETTINGS}
    good = [name for name in SETTINGS if right[name] >= max(right.values()) - 0.01]
    return min(good, key=lambda name: changes[name])


def _print_smoothing(result: dict[str, Any]) -> None:
    console = Console(highlight=False)
    for kind, name in zip(KINDS, ("single utterances", "a changing emotion"), strict=True):
        rows = result["test"][kind]
        needed = rows["none"]["needed"]
        table = Table(title=f"Partials on {name}, test actors; {needed:.2f} changes a second are due")
        table.add_column("smoothing")
        for title in ("changes a second", "delay in s", "ever right", "right at a time"):
            table.add_column(title, justify="right")
        for settings, row in rows.items():
            cells = (f"{row['changes']:.2f}", f"{row['delay']:.2f}", f"{row['reached']:.3f}", f"{row['right']:.3f}")
            table.add_row(settings, *cells)
        console.print(table)
    console.print(
        f"Best by validation actors (steadiest within a point of the share of time right): {result['best']}. "
        f"Updates every {result['update_ms']} ms over {result['window_ms']} ms."
    )
