"""Feature frames of any corpus, through the gate as in the daemon, clean and in augmented versions."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.progress import track

from ser_model.errors import SerError
from ser_model.training.data.augment import AcousticEnvironment, AugmentConfig
from ser_model.training.data.dataset import Counts, RecordingFrames, cache_path, compute_versions, read_frames, save
from ser_model.training.data.labelled_corpus import LabelledCorpus, LabelledRecording
from ser_model.training.processes import new_pool
from ser_model.types import Frames


@dataclass(frozen=True, slots=True)
class CorpusFrames:
    """Frames of all recordings of a corpus; the fields are as in `ser_model.training.data.dataset.Dataset`."""

    corpus: LabelledCorpus
    frames: list[list[Frames]]
    utterances: npt.NDArray[np.int64]
    voiced: list[Counts]


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

    The arguments are those of `ser_model.training.data.dataset.build`, and so are the frames of RAVDESS, which both
    read from the same file.

    Raises:
        SerError: Recordings cannot be decoded.
    """
    config = config or AugmentConfig()
    path = cache_path(cache, corpus.identity, [variants, str(noise), str(rooms), seed], asdict(config))
    if not path.exists():
        environment = AcousticEnvironment.load(noise, rooms)
        work = partial(_compute, seed=seed, count=variants, config=config, environment=environment)
        rows: list[RecordingFrames] = []
        unreadable: list[str] = []
        with new_pool(workers) as pool:
            steps = pool.imap(work, corpus.recordings, chunksize=4)
            for row in track(steps, f"{corpus.name}: gate and features", len(corpus.recordings)):
                if isinstance(row, str):
                    unreadable.append(row)
                else:
                    rows.append(row)
        if unreadable:
            raise SerError(
                f"{corpus.root}: {len(unreadable)} of {len(corpus.recordings)} recordings can't be read, "
                f"the first because {unreadable[0]}"
            )
        save(path, rows)
    return CorpusFrames(corpus, *read_frames(path))


def _compute(
    recording: LabelledRecording, seed: int, count: int, config: AugmentConfig, environment: AcousticEnvironment
) -> RecordingFrames | str:
    """Return the frames of a recording, or the reason why it cannot be decoded."""
    try:
        return compute_versions(recording, seed, count, config, environment)
    except SerError as error:
        return str(error)
