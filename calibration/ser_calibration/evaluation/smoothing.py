"""`ser-calibrate smoothing`: how steady and how quick partial answers are, by the way they are smoothed."""

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
from ser_model.training.experiments.long_speech import Track, make_tracks, speeches
from ser_model.training.files import write_json
from ser_model.training.folds.jobs import FOLDS, Split
from ser_model.training.folds.predictions import Predictions
from ser_model.training.folds.run_folder import RunFolder
from ser_model.training.networks.architecture import ResLstmSa
from ser_model.training.networks.inference import infer
from ser_model.training.scores import Classes, posterior

Way = tuple[float, float, int]
"""Weight, margin and updates, as `ser_model.scoring.smoothing.Smoother` takes them."""

WAYS: Final[dict[str, Way]] = {
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
"""Single utterances, and one actor's utterances one after the other with a changing emotion."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The scores of a stretch of speech, update by update."""

    scores: npt.NDArray[np.float64]
    """Shape (updates, 8)."""
    owed: Classes
    """Emotion that is being spoken at each update, shape (updates,)."""
    segment: Classes
    """Number of the utterance at each update, shape (updates,)."""


def measure_smoothing(source: RunSource) -> None:
    """Print label changes against delay for all settings; write RUN/smoothing.json.

    Raises:
        SerError: a folder isn't what is expected.
    """
    run, corpus, dataset = source.load()
    stretches = {
        "utterances": single(run, dataset),
        "changing": [one for one in make_tracks(run, speeches(corpus, source.workers)) if one.changing],
    }
    figures: dict[str, dict[str, Any]] = {}
    for split in ("validation", "test"):
        figures[split] = {}
        for kind in KINDS:
            answered = [
                one
                for seed in track(run.seeds, f"{split}, {kind}")
                for one in answer_all(run, stretches[kind], seed, split)
            ]
            figures[split][kind] = {name: measure(answered, way) for name, way in WAYS.items()}
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
    _print(result)


def single(run: RunFolder, dataset: Dataset) -> list[Track]:
    """Every utterance by itself; recordings that the gate missed or split take no part."""
    out = []
    for index in np.flatnonzero(dataset.utterances == 1).tolist():
        frames, voiced = dataset.frames[index][0], dataset.voiced[index]
        out.append(Track(int(run.actors[index]), False, frames, voiced, (len(frames),), (int(run.emotions[index]),)))
    return out


def answer_all(run: RunFolder, stretches: Sequence[Track], seed: int, split: Split) -> list[Answered]:
    """What one seed's networks say of the actors they answer for, at temperatures by how much was heard.

    These are fitted on the very answers: two numbers, the same for all ways of smoothing.
    """
    out: list[tuple[Track, npt.NDArray[np.float32], list[int]]] = []
    for fold in FOLDS:
        actors = (TEST_ACTORS if split == "test" else VALIDATION_ACTORS)[fold]
        out += _logits(run.network(seed, fold, split), [one for one in stretches if one.actor in actors])
    owed = [np.array([one.emotions[_segment(one, end)] for end in ends], dtype=np.int64) for one, _, ends in out]
    voiced = [one.voiced[np.array(ends) - 1] for one, _, ends in out]
    everything = np.concatenate([logits for _, logits, _ in out])
    nothing = np.zeros((len(everything), 0), dtype=np.float32)
    made = fit_temperatures(
        [Predictions(np.arange(len(everything)), everything, nothing, np.concatenate(voiced))], np.concatenate(owed)
    )
    return [
        Answered(posterior(logits, made.after(heard)), truth, np.array([_segment(one, end) for end in ends]))
        for (one, logits, ends), truth, heard in zip(out, owed, voiced, strict=True)
    ]


def _logits(network: ResLstmSa, chosen: Sequence[Track]) -> list[tuple[Track, npt.NDArray[np.float32], list[int]]]:
    """For each stretch that is long enough for one update: its logits, and the frames heard at each."""
    updates = [update_ends(len(one.frames)) for one in chosen]
    window = DecisionConfig().window_ms
    pieces = [cut_windows(one.frames, window, ends) for one, ends in zip(chosen, updates, strict=True)]
    logits, _ = infer(network, [piece for some in pieces for piece in some])
    cut = np.split(logits, np.cumsum([len(some) for some in pieces])[:-1])
    return [row for row in zip(chosen, cut, updates, strict=True) if row[2]]


def _segment(one: Track, end: int) -> int:
    """Number of the utterance that the last of so many frames belongs to."""
    return min(int(np.searchsorted(one.ends, end)), len(one.ends) - 1)


def measure(answered: Sequence[Answered], way: Way) -> dict[str, float]:
    """Figures of one way.

    Args:
        answered: the stretches.
        way: how they are smoothed.

    Returns:
        `changes`: of the label shown, for each second of speech; `needed`: the same of the emotion spoken; `delay`:
        seconds from the first update of an utterance to the first right label, where there is none until its end;
        `reached`: share of utterances with a right label at some time; `right`: share of updates
    """
    step = DecisionConfig().update_ms / 1000
    changes = needed = updates = right = 0
    delays: list[float] = []
    reached: list[bool] = []
    for one in answered:
        smoother = Smoother(*way)
        shown = np.array([smoother.push(scores)[1] for scores in one.scores])
        changes += int(np.sum(shown[1:] != shown[:-1]))
        needed += int(np.sum(one.owed[1:] != one.owed[:-1]))
        updates += len(shown)
        hits = shown == one.owed
        right += int(hits.sum())
        for segment in np.unique(one.segment):
            own = hits[one.segment == segment]
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
    """The steadiest way among those that are nearly as often right as the best, over both kinds of speech.

    Nearly: one point of the share of updates with the right label.
    """
    right = {name: np.mean([figures[kind][name]["right"] for kind in KINDS]) for name in WAYS}
    changes = {name: np.mean([figures[kind][name]["changes"] for kind in KINDS]) for name in WAYS}
    good = [name for name in WAYS if right[name] >= max(right.values()) - 0.01]
    return min(good, key=lambda name: changes[name])


def _print(result: dict[str, Any]) -> None:
    console = Console(highlight=False)
    for kind, said in zip(KINDS, ("single utterances", "a changing emotion"), strict=True):
        rows = result["test"][kind]
        needed = rows["none"]["needed"]
        table = Table(title=f"Partials on {said}, test actors; {needed:.2f} changes a second are due")
        table.add_column("smoothing")
        for title in ("changes a second", "delay in s", "ever right", "right at a time"):
            table.add_column(title, justify="right")
        for name, row in rows.items():
            cells = (f"{row['changes']:.2f}", f"{row['delay']:.2f}", f"{row['reached']:.3f}", f"{row['right']:.3f}")
            table.add_row(name, *cells)
        console.print(table)
    console.print(
        f"Best by validation actors (steadiest within a point of the share of time right): {result['best']}. "
        f"Updates every {result['update_ms']} ms over {result['window_ms']} ms."
    )
