"""`ser-model windows`, long speech: the running state against the mean over all windows, or over the last ones."""

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
"""Duration that the last windows cover."""
SAME_PER_EMOTION: Final = 2
"""Number of tracks of one emotion, for each actor and emotion."""
CHANGING_PER_ACTOR: Final = 16
"""Number of tracks with changing emotions, for each actor."""

METHODS: Final = (
    "running",
    *(f"{which}-{window // 1000}s" for which in ("mean", "last") for window in WINDOWS_MS),
)
"""Names of the methods: `running`, `mean-2s`, `mean-4s`, `last-2s`, `last-4s`."""


@dataclass(frozen=True, slots=True)
class Track:
    """Utterances of one actor in a row, each with the silence that the gate leaves around it."""

    actor: int
    changing: bool
    """Whether the emotion changes from every utterance to the next."""
    frames: Frames
    """Shape (time, 46)."""
    voiced: npt.NDArray[np.int64]
    """Number of voiced samples up to the end of each frame, shape (time,)."""
    ends: tuple[int, ...]
    """Number of frames up to the end of each utterance."""
    emotions: tuple[int, ...]
    """Emotion of each utterance."""

    def stop(self, seconds: int) -> int:
        """Number of utterances that last at least `seconds`."""
        return 1 + int(np.searchsorted(self.ends, seconds * SAMPLE_RATE / HOP))

    def majority(self, utterances: int) -> int:
        """Emotion with the longest total duration in the first `utterances`."""
        frames = np.diff((0, *self.ends[:utterances]))
        time = np.bincount(self.emotions[:utterances], weights=frames, minlength=len(LABELS))
        return int(time.argmax())


def segment_corpus(corpus: Corpus, workers: int | None = None) -> list[Segmentation]:
    """Segment every recording."""
    with new_pool(workers) as pool:
        return list(track(pool.imap(_segment, corpus.recordings, chunksize=8), "gate", len(corpus.recordings)))


def _segment(recording: Recording) -> Segmentation:
    return segment_clean(read_audio(recording.path))


def make_tracks(run: RunFolder, segmented: Sequence[Segmentation], seed: int = 0) -> list[Track]:
    """Concatenate clean utterances of each actor. The same seed gives the same tracks.

    Args:
        run: the run whose recordings are used.
        segmented: its recordings from `segment_corpus`. Those without exactly one utterance are left out.
        seed: seed of the order. No utterance occurs again before all others of the same emotion have occurred.
    """
    single = np.array([one.utterances == 1 for one in segmented])
    tracks = []
    for actor in ACTORS:
        rng = np.random.default_rng([seed, actor])
        own = np.flatnonzero((run.actors == actor) & single)
        by_emotion = {int(emotion): own[run.emotions[own] == emotion] for emotion in np.unique(run.emotions[own])}
        for emotion, recordings in by_emotion.items():
            for _ in range(SAME_PER_EMOTION):
                tracks.append(_concatenate(run, segmented, actor, _same(recordings, rng), emotion=emotion))
        if len(by_emotion) > 1:
            for _ in range(CHANGING_PER_ACTOR):
                tracks.append(_concatenate(run, segmented, actor, _changing(by_emotion, rng)))
    return tracks


def _same(recordings: Classes, rng: np.random.Generator) -> Iterator[int]:
    while True:
        yield from rng.permutation(recordings).tolist()


def _changing(by_emotion: dict[int, Classes], rng: np.random.Generator) -> Iterator[int]:
    sources = {emotion: _same(recordings, rng) for emotion, recordings in by_emotion.items()}
    last = -1
    while True:
        last = int(rng.choice([emotion for emotion in sources if emotion != last]))
        yield next(sources[last])


def _concatenate(
    run: RunFolder, segmented: Sequence[Segmentation], actor: int, order: Iterator[int], emotion: int | None = None
) -> Track:
    """Concatenate utterances in `order` until the longest duration is reached."""
    pieces: list[Segmentation] = []
    emotions: list[int] = []
    length = 0
    while length // HOP * HOP < SECONDS[-1] * SAMPLE_RATE:
        index = next(order)
        pieces.append(segmented[index])
        emotions.append(int(run.emotions[index]))
        length += len(segmented[index].samples)
    ends = tuple((np.cumsum([len(piece.samples) for piece in pieces]) // HOP).tolist())
    # As one utterance, since many features are relative to earlier frames of the utterance.
    extracted = extract_frames(Segmentation.join(pieces))
    return Track(actor, emotion is None, extracted.frames[0], extracted.voiced, ends, tuple(emotions))


def long_speech(run: RunFolder, corpus: Corpus, workers: int | None = None) -> None:
    """Print the accuracy of each method on long speech, and write RUN/long_speech.json.

    Args:
        run: the run.
        corpus: its recordings.
        workers: number of processes; `None`: one per core.
    """
    tracks = make_tracks(run, segment_corpus(corpus, workers))
    with Progress() as bar:
        task = bar.add_task("long speech", total=len(run.seeds) * len(tracks))
        predictions = [_predict_all(run, tracks, seed, lambda: bar.advance(task)) for seed in run.seeds]
    rows = []
    for changing in (False, True):
        chosen = [at for at, one in enumerate(tracks) if one.changing == changing]
        rows += [_row(tracks, chosen, seconds, predictions) for seconds in SECONDS if chosen]
    result = {"seeds": list(run.seeds), "last_seconds": LAST_SECONDS, "rows": rows}
    write_json(run.path / "long_speech.json", result)
    _print(result)


def _predict_all(run: RunFolder, tracks: list[Track], seed: int, done: Callable[[], None]) -> dict[str, Classes]:
    """For each method the classes of all tracks at all durations, shape (tracks, durations)."""
    out = {method: np.zeros((len(tracks), len(SECONDS)), dtype=np.int64) for method in METHODS}
    for network, index in run.networks(seed):
        actors = set(run.actors[index].tolist())
        for at, one in enumerate(tracks):
            if one.actor in actors:
                for method, classes in predict_track(network, one).items():
                    out[method][at] = classes
                done()
    return out


def predict_track(network: ResLstmSa, one: Track) -> dict[str, Classes]:
    """For each method the class of a track at each duration, shape (durations,)."""
    stops = [one.ends[one.stop(seconds) - 1] for seconds in SECONDS]
    out = {"running": predict(network, [one.frames[:stop] for stop in stops]).argmax(axis=1)}
    for window_ms in WINDOWS_MS:
        length = window_frames(window_ms)
        # The first updates have less than a full window; in long speech they are left out.
        ends = np.array([end for end in update_ends(len(one.frames) + 1) if end >= length])
        probabilities = posterior(predict(network, cut_windows(one.frames, window_ms, ends.tolist())))
        for name, frames in (("mean", None), ("last", LAST_SECONDS * SAMPLE_RATE / HOP)):
            begins = ends - length
            chosen = [(ends <= stop) & (begins >= (0 if frames is None else stop - frames)) for stop in stops]
            out[f"{name}-{window_ms // 1000}s"] = np.array(
                [probabilities[which].mean(axis=0).argmax() for which in chosen], dtype=np.int64
            )
    return out


def _row(tracks: list[Track], chosen: list[int], seconds: int, predictions: list[dict[str, Classes]]) -> Metrics:
    """Metrics of one duration, against the emotion of the last utterance and against the longest emotion."""
    some = [tracks[at] for at in chosen]
    counts = [one.stop(seconds) for one in some]
    actors = np.array([one.actor for one in some])
    last = np.array([one.emotions[count - 1] for one, count in zip(some, counts, strict=True)])
    longest = np.array([one.majority(count) for one, count in zip(some, counts, strict=True)])
    ends = [one.ends[count - 1] for one, count in zip(some, counts, strict=True)]
    column = SECONDS.index(seconds)
    methods = {}
    for method in METHODS:
        predicted = [by_method[method][chosen, column] for by_method in predictions]
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
    targets = {"last_utterance": "the last one's", "longest_emotion": "the longest one's"}
    for emotion in ("same", "changing"):
        for key, description in targets.items():
            if (emotion, key) == ("same", "longest_emotion"):
                continue
            table.add_section()
            for row in (row for row in result["rows"] if row["emotion"] == emotion):
                cells = [row["methods"][method][key] for method in METHODS]
                table.add_row(
                    "same" if emotion == "same" else f"changing, {description}",
                    str(row["seconds"]),
                    *(f"{format_metric(cell['uar'])} ({cell['uar_14_actors']['mean']:.3f})" for cell in cells),
                )
    Console().print(table)
