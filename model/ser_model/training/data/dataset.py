"""Feature frames of recordings, through the gate as in the daemon, clean and in augmented versions."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.progress import track

from ser_model.audio.files import read_audio
from ser_model.config import GateConfig
from ser_model.errors import SerError
from ser_model.features.features import FRAME, HOP, RECIPE, SIZE, compute_features
from ser_model.training.data.augment import AcousticEnvironment, AugmentConfig, augment
from ser_model.training.data.corpus import Corpus, Recording
from ser_model.training.data.labelled_corpus import SoundFile
from ser_model.training.data.segmentation import Segmentation, pad_with_room_noise, segment, segment_clean
from ser_model.training.files import write_arrays
from ser_model.training.processes import new_pool
from ser_model.types import SAMPLE_RATE, Frames

Counts = npt.NDArray[np.int64]

FILE_FORMAT = 2
"""Version of the format of `save`. It is part of the names of the files, so that older ones are not read."""


@dataclass(frozen=True, slots=True)
class RecordingFrames:
    """Frames of one recording."""

    frames: list[Frames]
    """Versions of shape (time, 46): clean, then the variants. A version without an utterance is left out."""
    utterances: int
    """Number of utterances that the gate found in the speech of the clean recording."""
    voiced: Counts
    """Number of voiced samples of the clean utterance up to the end of each frame, shape (time,)."""


def extract_frames(segmented: Segmentation, variants: Sequence[Frames] = ()) -> RecordingFrames:
    """Compute the frames of a clean recording, and add those of its variants."""
    frames = compute_features(segmented.samples) if segmented.utterances else np.zeros((0, SIZE), dtype=np.float32)
    voiced = segmented.voiced_after(FRAME + HOP * np.arange(len(frames), dtype=np.int64))
    return RecordingFrames([frames, *variants] if segmented.utterances else [*variants], segmented.utterances, voiced)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Feature frames of all recordings."""

    recordings: tuple[Recording, ...]
    frames: list[list[Frames]]
    """For each recording its versions, as in `RecordingFrames`."""
    utterances: npt.NDArray[np.int64]
    """Number of utterances that the gate found in the speech of each clean recording, shape (recordings,)."""
    voiced: list[Counts]
    """For each recording the number of voiced samples up to the end of each frame of the clean utterance."""


def compute_versions(
    recording: SoundFile,
    seed: int,
    count: int,
    config: AugmentConfig,
    environment: AcousticEnvironment,
    voices: Sequence[SoundFile] = (),
) -> RecordingFrames:
    """Compute the frames of a recording and of `count` variants, which depend on `seed` and its name alone.

    Args:
        recording: the recording.
        seed: seed of the variants.
        count: number of variants.
        config: ranges of the variants.
        environment: noises and rooms.
        voices: recordings for the other voices in variants.
    """
    samples = read_audio(recording.path)
    out = []
    rng = np.random.default_rng([seed, *recording.name.encode()])
    behind = [read_audio(one.path) for one in voices] if count else []
    for _ in range(count):
        settings = GateConfig(
            pre_roll_ms=int(rng.integers(*config.pre_roll_ms)),
            hangover_ms=int(rng.integers(*config.hangover_ms)),
        )
        segmented = segment(pad_with_room_noise(augment(samples, config, environment, rng, behind)), settings)
        if segmented.utterances:
            out.append(compute_features(segmented.samples))
    return extract_frames(segment_clean(samples), out)


def build(
    corpus: Corpus,
    *,
    cache: Path,
    variants: int = 0,
    noise: Path | None = None,
    rooms: Path | None = None,
    config: AugmentConfig | None = None,
    seed: int = 0,
    workers: int | None = None,
) -> Dataset:
    """Compute the frames of all recordings, or read them from `cache`.

    Args:
        corpus: the recordings.
        cache: folder for the frames. The names of its files hold a digest of all that the frames depend on.
        variants: number of variants of each recording.
        noise: folder of noises; `None`: generated ones only.
        rooms: folder of room responses; `None`: none.
        config: ranges of the variants.
        seed: seed of the variants.
        workers: number of processes; `None`: one per core.
    """
    config = config or AugmentConfig()
    names = [recording.name for recording in corpus.recordings]
    path = cache_path(cache, names, [variants, str(noise), str(rooms), seed], asdict(config))
    if not path.exists():
        environment = AcousticEnvironment.load(noise, rooms)
        work = partial(compute_versions, seed=seed, count=variants, config=config, environment=environment)
        with new_pool(workers) as pool:
            steps = pool.imap(work, corpus.recordings, chunksize=4)
            rows = list(track(steps, "gate and features", len(corpus.recordings)))
        save(path, rows)
    return load(path, corpus)


def cache_path(cache: Path, identity: Sequence[str], *depends: object) -> Path:
    """Path for the frames of recordings, with a digest of the gate, the features and the values `depends`.

    Args:
        cache: the folder.
        identity: what tells the recordings from others: their names.
        depends: further values.
    """
    key = json.dumps([list(identity), *depends, asdict(GateConfig()), RECIPE, FILE_FORMAT, _fingerprint()])
    return cache / f"frames-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"


def _fingerprint() -> str:
    """Digest of the results of augmentation, gate and features on a test sound, so that it changes with the code.

    The sound is a buzz of changing pitch with pauses. Numbers are rounded far above the errors of floating point.
    """
    time = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
    buzz = np.sin(2 * np.pi * (140 * time + 12 * np.sin(3 * time))) ** 9 * (np.sin(2 * np.pi * 1.1 * time) > -0.5)
    probe = (8000 * buzz).astype(np.int16)
    varied = augment(probe, AugmentConfig(noise_share=1.0), AcousticEnvironment(), np.random.default_rng(0))
    segmented = segment_clean(varied)
    sizes = np.array([len(segmented.samples), segmented.utterances])
    numbers = [compute_features(probe).round(2), compute_features(varied).round(1), sizes]
    return hashlib.sha256(b"".join((part + 0.0).astype(np.float32).tobytes() for part in numbers)).hexdigest()


def save(path: Path, rows: Sequence[RecordingFrames]) -> None:
    """Write the frames of all recordings, in half precision, which is far finer than the noise that training adds."""
    flat = [frames for row in rows for frames in row.frames]
    write_arrays(
        path,
        frames=np.concatenate([np.zeros((0, SIZE), dtype=np.float16), *flat], dtype=np.float16, casting="same_kind"),
        lengths=np.array([len(frames) for frames in flat]),
        counts=np.array([len(row.frames) for row in rows]),
        utterances=np.array([row.utterances for row in rows]),
        voiced=np.concatenate([row.voiced for row in rows]),
        voiced_lengths=np.array([len(row.voiced) for row in rows]),
    )


def load(path: Path, corpus: Corpus) -> Dataset:
    """Read the frames of RAVDESS that `save` wrote.

    Raises:
        SerError: The file is damaged. It is removed.
    """
    return Dataset(corpus.recordings, *read_frames(path))


def read_frames(path: Path) -> tuple[list[list[Frames]], Counts, list[Counts]]:
    """Read what `save` wrote: versions, number of utterances, and voiced samples of each recording, as in `Dataset`.

    Raises:
        SerError: The file is damaged. It is removed.
    """
    try:
        with np.load(path) as file:
            pieces = np.split(file["frames"].astype(np.float32), np.cumsum(file["lengths"])[:-1])
            starts = np.cumsum(file["counts"])
            utterances = file["utterances"]
            voiced = np.split(file["voiced"], np.cumsum(file["voiced_lengths"])[:-1])
            counts = file["counts"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        path.unlink(missing_ok=True)
        raise SerError(f"{path}: was damaged ({error}) and is removed; run the command again") from error
    return [pieces[end - count : end] for end, count in zip(starts, counts, strict=True)], utterances, voiced
