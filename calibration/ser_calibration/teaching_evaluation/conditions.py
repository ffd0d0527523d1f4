"""Frames of some recordings of each corpus in other acoustic conditions than those that were taught in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from inspect import getsource
from typing import Final

import numpy as np
from rich.progress import track

from ser_model.audio.files import read_audio
from ser_model.config import GateConfig
from ser_model.training.corpora.corpora_run import CorporaRun
from ser_model.training.corpora.recording_pool import RecordingPool
from ser_model.training.data import acoustic_conditions
from ser_model.training.data.acoustic_conditions import CONDITIONS, Condition, apply, load_held_out
from ser_model.training.data.augment import AcousticEnvironment
from ser_model.training.data.dataset import RecordingFrames, cache_path, extract_frames, read_frames, save
from ser_model.training.data.labelled_corpus import LabelledRecording
from ser_model.training.data.segmentation import segment, speech_extent
from ser_model.training.processes import new_pool
from ser_model.types import Frames

SPEAKERS: Final = 10
"""Speakers of each corpus whose recordings are changed."""
RECORDINGS: Final = 30
"""Recordings of each of them."""

_NAMES: Final = ("snr-10", "room", "telephone", "quiet")
MEASURED: Final = tuple(one for one in CONDITIONS if one.name in _NAMES)
"""Noise, another room, another microphone's band, and its level."""

_held_out: AcousticEnvironment


def change_recordings(run: CorporaRun, pool: RecordingPool) -> dict[str, dict[int, Frames]]:
    """Compute the frames of some recordings in each condition, or read them from the cache beside the run.

    Args:
        run: the run; a condition whose noises or rooms it lacks is left out.
        pool: its recordings.

    Returns:
        by the condition's title, by the index in the pool; without those that the gate misses or splits
    """
    chosen = choose_recordings(pool)
    if not chosen:
        return {}
    recordings = [one for corpus in pool.corpora for one in corpus.recordings]
    held_out = load_held_out(run.noise, run.rooms)
    identity = [one for corpus in pool.corpora for one in corpus.identity]
    out = {}
    for condition in MEASURED:
        if (condition.snr_db is not None and not held_out.noises) or (condition.room and not held_out.rooms):
            continue
        path = cache_path(
            run.output.parent / "cache",
            [identity[at] for at in chosen],
            getsource(acoustic_conditions),
            asdict(condition),
            str(run.noise),
            str(run.rooms),
        )
        if not path.exists():
            some = [(condition, recordings[at]) for at in chosen]
            with new_pool(run.workers, _start_worker, (held_out,)) as workers:
                rows = list(track(workers.imap(_compute, some, chunksize=4), condition.title, len(some)))
            save(path, rows)
        frames, utterances, _ = read_frames(path)
        out[condition.title] = {
            at: versions[0]
            for at, versions, found in zip(chosen, frames, utterances.tolist(), strict=True)
            if found == 1
        }
    return out


def choose_recordings(pool: RecordingPool) -> list[int]:
    """Draw recordings of some speakers of each acted corpus, of every label about as many."""
    rng = np.random.default_rng(0)
    chosen: list[int] = []
    usable = (pool.utterances == 1) & (pool.emotions >= 0)
    for at in range(len(pool.corpora)):
        by_speaker: dict[str, list[int]] = defaultdict(list)
        for index in np.flatnonzero(usable & (pool.corpus == at)).tolist():
            by_speaker[str(pool.speakers[index])].append(index)
        enough = sorted(speaker for speaker, own in by_speaker.items() if len(own) >= RECORDINGS)
        for speaker in rng.permutation(enough)[:SPEAKERS].tolist():
            chosen += _balanced(rng.permutation(by_speaker[speaker]).tolist(), pool)
    return sorted(chosen)


def _balanced(own: Sequence[int], pool: RecordingPool) -> list[int]:
    """The first of every label, then the second of every label, and so on."""
    places: dict[int, int] = defaultdict(int)
    ranked = []
    for index in own:
        label = int(pool.emotions[index])
        ranked.append((places[label], index))
        places[label] += 1
    return [index for _, index in sorted(ranked)[:RECORDINGS]]


def _start_worker(held_out: AcousticEnvironment) -> None:
    global _held_out
    _held_out = held_out


def _compute(task: tuple[Condition, LabelledRecording]) -> RecordingFrames:
    condition, recording = task
    samples = read_audio(recording.path)
    changed = apply(condition, samples, _held_out, recording.name)
    return extract_frames(segment(changed, GateConfig(), speech_extent(samples)))
