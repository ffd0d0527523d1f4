"""Feature frames of any corpus, through the gate as in the daemon, clean and in augmented versions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from rich.progress import track

from ser_model.errors import SerError
from ser_model.training.data.augment import AcousticEnvironment, AugmentConfig
from ser_model.training.data.dataset import Counts, RecordingFrames, cache_path, compute_versions, read_frames, save
from ser_model.training.data.labelled_corpus import LabelledCorpus, LabelledRecording
from ser_model.training.processes import new_pool
from ser_model.types import Frames

_PART: Final = 500
"""Recordings after which the frames so far are kept, so that an interrupted command goes on from there."""

_VOICES: Final = 3
"""Recordings of which the other voices in a variant are made."""

_Item = tuple[LabelledRecording, Sequence[LabelledRecording]]
"""A recording, and those that its other voices are made of."""


@dataclass(frozen=True, slots=True)
class CorpusFrames:
    """Frames of all recordings of a corpus; the fields are as in `ser_model.training.data.dataset.Dataset`."""

    corpus: LabelledCorpus
    frames: list[list[Frames]]
    utterances: npt.NDArray[np.int64]
    voiced: list[Counts]

    def without(self, speakers: Sequence[str]) -> CorpusFrames:
        """Leave out the recordings of speakers."""
        kept = [at for at, one in enumerate(self.corpus.recordings) if one.speaker not in speakers]
        return CorpusFrames(
            self.corpus.select(kept),
            [self.frames[at] for at in kept],
            self.utterances[kept],
            [self.voiced[at] for at in kept],
        )


def build_frames(
    corpus: LabelledCorpus,
    *,
    cache: Path,
    variants: int = 0,
    noise: Path | None = None,
    rooms: Path | None = None,
    config: AugmentConfig | None = None,
    seed: int = 0,
    workers: int | None = None,
) -> CorpusFrames:
    """Compute the frames of all recordings, or read them from `cache`.

    The arguments are those of `ser_model.training.data.dataset.build`.

    Raises:
        SerError: Recordings cannot be decoded.
    """
    config = config or AugmentConfig()
    path = cache_path(
        cache,
        corpus.identity,
        [variants, str(noise), str(rooms), seed, *([_VOICES] if variants else [])],
        asdict(config),
    )
    if not path.exists():
        environment = AcousticEnvironment.load(noise, rooms)
        work = partial(_compute, seed=seed, count=variants, config=config, environment=environment)
        _compute_missing(corpus, path, work, workers)
    return CorpusFrames(corpus, *read_frames(path))


def _compute_missing(
    corpus: LabelledCorpus, path: Path, work: Callable[[_Item], RecordingFrames | str], workers: int | None
) -> None:
    """Compute the frames of all recordings in parts, each of which is kept, and write them to `path`."""
    items = list(zip(corpus.recordings, other_voices(corpus.recordings), strict=True))
    starts = range(0, len(corpus.recordings), _PART)
    parts = [path.with_name(f"{path.stem}-part{number}.npz") for number in range(len(starts))]

    def compute(pool: Pool) -> Iterator[RecordingFrames | str]:
        for start, part in zip(starts, parts, strict=True):
            if part.exists():
                yield from map(RecordingFrames, *_columns(part))
                continue
            rows = []
            for row in pool.imap(work, items[start : start + _PART], chunksize=4):
                rows.append(row)
                yield row
            done = [row for row in rows if not isinstance(row, str)]
            if len(done) == len(rows):
                save(part, done)

    with new_pool(workers) as pool:
        every = list(track(compute(pool), f"{corpus.name}: gate and features", len(corpus.recordings)))
    # A recording that can't be read is named again where it is another's voice.
    unreadable = list(dict.fromkeys(row for row in every if isinstance(row, str)))
    if unreadable:
        raise SerError(
            f"{corpus.root}: {len(unreadable)} of {len(every)} recordings can't be read, "
            f"the first because {unreadable[0]}"
        )
    save(path, [row for row in every if not isinstance(row, str)])
    for part in parts:
        part.unlink(missing_ok=True)


def _columns(part: Path) -> tuple[list[list[Frames]], list[int], list[Counts]]:
    """Read the fields of the `RecordingFrames` of a part."""
    frames, utterances, voiced = read_frames(part)
    return frames, [int(count) for count in utterances], voiced


def _compute(
    item: _Item,
    seed: int,
    count: int,
    config: AugmentConfig,
    environment: AcousticEnvironment,
) -> RecordingFrames | str:
    """Return the frames of a recording with its voices, or the reason why one cannot be decoded."""
    recording, voices = item
    try:
        return compute_versions(recording, seed, count, config, environment, voices)
    except SerError as error:
        return str(error)


def other_voices(recordings: Sequence[LabelledRecording]) -> list[list[LabelledRecording]]:
    """Draw for each recording some others of the same speaker.

    So nothing of a speaker who is held out gets into a variant.
    """
    by_speaker: dict[str, list[LabelledRecording]] = defaultdict(list)
    for one in recordings:
        by_speaker[one.speaker].append(one)
    out = []
    for one in recordings:
        own = by_speaker[one.speaker]
        rng = np.random.default_rng(list(one.name.encode()))
        drawn = [own[at] for at in rng.permutation(len(own))[: _VOICES + 1]]
        out.append([other for other in drawn if other is not one][:_VOICES])
    return out
