"""What should answer for long speech: the running state, the mean of all windows, or of the last ones?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import Progress, track
from rich.table import Table

from ser_model.audio.files import read_audio
from ser_model.features.features import HOP
from ser_model.labels import LABELS
from ser_model.training.data.corpus import ACTORS, Corpus, Recording
from ser_model.training.data.dataset import extract_frames
from ser_model.training.data.segmentation import Segmentation, segment_clean
from ser_model.training.data.windowing import cut_windows, update_ends, window_frames
from ser_model.training.files import write_json
from ser_model.training.folds.metrics import Metrics, format_metric, uar_metrics
from ser_model.training.folds.run_folder import RunFolder
from ser_model.training.networks.architecture import ResLstmSa
from ser_model.training.networks.inference import predict
from ser_model.training.processes import new_pool
from ser_model.training.scores import Classes, posterior
from ser_model.types import SAMPLE_RATE, Frames

SECONDS: Final = (5, 10, 20, 30)
WINDOWS_MS: Final = (2_000, 4_000)
LAST_SECONDS: Final = 5
"""Within which the windows lie that the answer by the last ones takes."""
SAME_PER_EMOTION: Final = 2
"""Tracks of one emotion for each actor and emotion."""
CHANGING_PER_ACTOR: Final = 16

METHODS: Final = (
    "running",
    *(f"{which}-{window // 1000}s" for which in ("mean", "last") for window in WINDOWS_MS),
)
"""Keys of the answers: `running`, `mean-2s`, `mean-4s`, `last-2s`, `last-4s`."""


@dataclass(frozen=True, slots=True)
class Track:
    """One actor's utterances one after the other, with the pauses that the gate leaves around each."""

    actor: int
    changing: bool
    """Whether the emotion changes from every utterance to the next."""
    frames: Frames
    """Shape (time, 46)."""
    voiced: npt.NDArray[np.int64]
    """Voiced samples at the end of each frame, shape (time,)."""
    ends: tuple[int, ...]
    """Frames after which each utterance ends."""
    emotions: tuple[int, ...]
    """Of each utterance."""

    def stop(self, seconds: int) -> int:
        """Number of utterances until the track is at least so long."""
        return 1 + int(np.searchsorted(self.ends, seconds * SAMPLE_RATE / HOP))

    def majority(self, utterances: int) -> int:
        """Emotion that the first so many utterances have for the longest time."""
        frames = np.diff((0, *self.ends[:utterances]))
        time = np.bincount(self.emotions[:utterances], weights=frames, minlength=len(LABELS))
        return int(time.argmax())


def speeches(corpus: Corpus, workers: int | None = None) -> list[Segmentation]:
    """What the gate makes of each recording."""
    with new_pool(workers) as pool:
        return list(track(pool.imap(_speech, corpus.recordings, chunksize=8), "gate", len(corpus.recordings)))


def _speech(recording: Recording) -> Segmentation:
    return segment_clean(read_audio(recording.path))


def make_tracks(run: RunFolder, spoken: Sequence[Segmentation], seed: int = 0) -> list[Track]:
    """Chain clean utterances of each actor, the same in every run of the same seed.

    Args:
        run: whose recordings.
        spoken: `speeches` of its corpus; those that are not one utterance take no part.
        seed: of the order; none comes again before all others of its kind have.
    """
    heard = np.array([one.utterances == 1 for one in spoken])
    tracks = []
    for actor in ACTORS:
        rng = np.random.default_rng([seed, actor])
        own = np.flatnonzero((run.actors == actor) & heard)
        decks = {int(emotion): own[run.emotions[own] == emotion] for emotion in np.unique(run.emotions[own])}
        for emotion, deck in decks.items():
            for _ in range(SAME_PER_EMOTION):
                tracks.append(_chain(run, spoken, actor, _same(deck, rng), emotion=emotion))
        if len(decks) > 1:
            for _ in range(CHANGING_PER_ACTOR):
                tracks.append(_chain(run, spoken, actor, _changing(decks, rng)))
    return tracks


def _same(deck: Classes, rng: np.random.Generator) -> Iterator[int]:
    while True:
        yield from rng.permutation(deck).tolist()


def _changing(decks: dict[int, Classes], rng: np.random.Generator) -> Iterator[int]:
    draws = {emotion: _same(deck, rng) for emotion, deck in decks.items()}
    last = -1
    while True:
        last = int(rng.choice([emotion for emotion in draws if emotion != last]))
        yield next(draws[last])


def _chain(
    run: RunFolder, spoken: Sequence[Segmentation], actor: int, order: Iterator[int], emotion: int | None = None
) -> Track:
    """Take utterances until the longest duration is reached."""
    pieces: list[Segmentation] = []
    emotions: list[int] = []
    length = 0
    while length // HOP * HOP < SECONDS[-1] * SAMPLE_RATE:
        index = next(order)
        pieces.append(spoken[index])
        emotions.append(int(run.emotions[index]))
        length += len(spoken[index].samples)
    ends = tuple((np.cumsum([len(piece.samples) for piece in pieces]) // HOP).tolist())
    # As one utterance: many features are relative to what was heard before in it.
    heard = extract_frames(Segmentation.join(pieces))
    return Track(actor, emotion is None, heard.frames[0], heard.voiced, ends, tuple(emotions))


def long_speech(run: RunFolder, corpus: Corpus, workers: int | None = None) -> None:
    """Print how right each way to answer for long speech is, and write RUN/long_speech.json.

    Args:
        run: whose networks answer.
        corpus: the run's recordings.
        workers: processes; None: one per core.
    """
    tracks = make_tracks(run, speeches(corpus, workers))
    with Progress() as bar:
        task = bar.add_task("long speech", total=len(run.seeds) * len(tracks))
        answers = [_answers(run, tracks, seed, lambda: bar.advance(task)) for seed in run.seeds]
    rows = []
    for changing in (False, True):
        chosen = [at for at, one in enumerate(tracks) if one.changing == changing]
        rows += [_row(tracks, chosen, seconds, answers) for seconds in SECONDS if chosen]
    result = {"seeds": list(run.seeds), "last_seconds": LAST_SECONDS, "rows": rows}
    write_json(run.path / "long_speech.json", result)
    _print(result)


def _answers(run: RunFolder, tracks: list[Track], seed: int, done: Callable[[], None]) -> dict[str, Classes]:
    """For each method the classes of all tracks at all durations, shape (tracks, durations)."""
    out = {method: np.zeros((len(tracks), len(SECONDS)), dtype=np.int64) for method in METHODS}
    for network, index in run.networks(seed):
        actors = set(run.actors[index].tolist())
        for at, one in enumerate(tracks):
            if one.actor in actors:
                for method, classes in answer(network, one).items():
                    out[method][at] = classes
                done()
    return out


def answer(network: ResLstmSa, one: Track) -> dict[str, Classes]:
    """For each method the class of a track at each duration, shape (durations,)."""
    stops = [one.ends[one.stop(seconds) - 1] for seconds in SECONDS]
    out = {"running": predict(network, [one.frames[:stop] for stop in stops]).argmax(axis=1)}
    for window_ms in WINDOWS_MS:
        length = window_frames(window_ms)
        # The first updates judge less than a window; where speech is long they need not be asked.
        ends = np.array([end for end in update_ends(len(one.frames) + 1) if end >= length])
        probabilities = posterior(predict(network, cut_windows(one.frames, window_ms, ends.tolist())))
        for name, heard in (("mean", None), ("last", LAST_SECONDS * SAMPLE_RATE / HOP)):
            begins = ends - length
            chosen = [(ends <= stop) & (begins >= (0 if heard is None else stop - heard)) for stop in stops]
            out[f"{name}-{window_ms // 1000}s"] = np.array(
                [probabilities[which].mean(axis=0).argmax() for which in chosen], dtype=np.int64
            )
    return out


def _row(tracks: list[Track], chosen: list[int], seconds: int, answers: list[dict[str, Classes]]) -> Metrics:
    """Metrics of one duration: against the last utterance's emotion, and against the one spoken longest."""
    some = [tracks[at] for at in chosen]
    counts = [one.stop(seconds) for one in some]
    actors = np.array([one.actor for one in some])
    last = np.array([one.emotions[count - 1] for one, count in zip(some, counts, strict=True)])
    longest = np.array([one.majority(count) for one, count in zip(some, counts, strict=True)])
    ends = [one.ends[count - 1] for one, count in zip(some, counts, strict=True)]
    column = SECONDS.index(seconds)
    methods = {}
    for method in METHODS:
        predicted = [by_method[method][chosen, column] for by_method in answers]
        methods[method] = {
            "last_utterance": uar_metrics(last, actors, predicted),
            "longest_emotion": uar_metrics(longest, actors, predicted),
        }
    return {
        "emotion": "changing" if some[0].changing else "same",
        "seconds": seconds,
        "mean_seconds": float(np.mean(ends)) * HOP / SAMPLE_RATE,
        "tracks": len(some),
        "methods": methods,
    }


def _print(result: Metrics) -> None:
    table = Table(title=f"UAR on long speech, test actors, {len(result['seeds'])} seed(s); (14 that never validate)")
    table.add_column("emotion, owed label")
    table.add_column("s", justify="right")
    heads = {"running": "running state"}
    for method in METHODS[1:]:
        which, window = method.split("-")
        heads[method] = f"{'mean' if which == 'mean' else f'last {LAST_SECONDS} s'} of {window.replace('s', ' s')}"
    for method in METHODS:
        table.add_column(heads[method], justify="right")
    owed = {"last_utterance": "the last one's", "longest_emotion": "the longest one's"}
    for emotion in ("same", "changing"):
        for key, said in owed.items():
            if (emotion, key) == ("same", "longest_emotion"):
                continue
            table.add_section()
            for row in (row for row in result["rows"] if row["emotion"] == emotion):
                cells = [row["methods"][method][key] for method in METHODS]
                table.add_row(
                    "same" if emotion == "same" else f"changing, {said}",
                    str(row["seconds"]),
                    *(f"{format_metric(cell['uar'])} ({cell['uar_14_actors']['mean']:.3f})" for cell in cells),
                )
    Console().print(table)
