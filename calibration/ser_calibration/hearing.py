"""What the gate finds: speech in noise, and in noise alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from rich.progress import track

from ser_calibration.noise_hour import Piece
from ser_model.audio_file import read_audio
from ser_model.features import compute_features
from ser_model.gate import Gate
from ser_model.training.augment import Surroundings, add_noise, to_wave
from ser_model.training.corpus import Corpus, Recording
from ser_model.training.processes import new_pool
from ser_model.types import SAMPLE_RATE, Block, Frames, GateEvent, Samples, SpeechAudio, SpeechEnded, SpeechStarted

_AROUND: Final = SAMPLE_RATE
"""Samples of room before and after a recording."""
_LOUD: Final = 10 ** (-30 / 20)
"""Speech is what lies between the first and the last 10 ms above this share of the loudest."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the gate made of one recording."""

    utterances: int
    """That overlap with its speech."""
    beside: int
    """That don't."""
    voiced: int
    """Voiced samples of the first that overlaps; 0 without one."""


def find_speech(corpus: Corpus, noises: Surroundings, snr_db: float | None, workers: int | None) -> list[Found]:
    """Let the gate hear every recording, with noise around and under it or without.

    Args:
        corpus: the recordings.
        noises: what is mixed in, as `load_held_out` reads it.
        snr_db: ratio of speech to noise; None: none.
        workers: processes; None: one per core.
    """
    work = partial(_find, noises=noises, snr_db=snr_db)
    with new_pool(workers) as pool:
        steps = pool.imap(work, corpus.recordings, chunksize=8)
        title = "gate, clean" if snr_db is None else f"gate, {snr_db:g} dB"
        return list(track(steps, title, len(corpus.recordings)))


def _find(recording: Recording, noises: Surroundings, snr_db: float | None) -> Found:
    samples = read_audio(recording.path)
    first, last = extent(samples)
    whole = surround(samples, recording.name, noises, snr_db)
    gate = Gate()
    utterances = spans([*gate.push(Block(whole, 0)), *gate.finish()])
    voiced = [count for start, end, count in utterances if start < _AROUND + last and end > _AROUND + first]
    return Found(len(voiced), len(utterances) - len(voiced), voiced[0] if voiced else 0)


def extent(samples: Samples) -> tuple[int, int]:
    """First and last moment of speech of a clean recording, as `docs/gate.md` defines it."""
    block = SAMPLE_RATE // 100
    levels = np.abs(samples[: len(samples) // block * block].astype(np.float64)).reshape(-1, block).max(axis=1)
    loud = np.flatnonzero(levels >= levels.max(initial=0) * _LOUD)
    return (int(loud[0]) * block, (int(loud[-1]) + 1) * block) if len(loud) else (0, len(samples))


def surround(samples: Samples, name: str, noises: Surroundings, snr_db: float | None) -> Samples:
    """A recording in a second of its room before and after; noise goes on through all of it.

    The ratio is that of `ser_model.training.augment.add_noise` over the recording itself.
    """
    rng = np.random.default_rng(list(name.encode()))
    quiet = np.sort(np.abs(samples))[: max(1, len(samples) // 10)].max(initial=1)
    room = [rng.normal(0, quiet / 1.3, _AROUND) for _ in range(2)]
    whole = np.concatenate((room[0], samples.astype(np.float64), room[1])) / 32768
    if snr_db is not None:
        noise = noises.noises[rng.integers(len(noises.noises))]
        piece = np.roll(np.tile(noise, len(whole) // len(noise) + 1), int(rng.integers(len(noise))))[: len(whole)]
        wave, under = to_wave(samples), piece[_AROUND : _AROUND + len(samples)]
        mixed = add_noise(wave, under, snr_db) - wave
        whole = whole + piece * float(np.dot(mixed, under) / max(np.dot(under, under), 1e-12))
    mixture: Samples = np.clip(np.rint(whole * 32768), -32768, 32767).astype(np.int16)
    return mixture


def spans(events: Iterable[GateEvent]) -> list[tuple[int, int, int]]:
    """Onset, offset and voiced samples of every utterance."""
    onsets: dict[int, int] = {}
    out = []
    for event in events:
        if isinstance(event, SpeechStarted):
            onsets[event.utterance] = event.onset
        elif isinstance(event, SpeechEnded):
            out.append((onsets[event.utterance], event.offset, event.voiced))
    return out


@dataclass(frozen=True, slots=True)
class Intruder:
    """Noise that the gate took for speech."""

    name: str
    """Of the sound in which it began."""
    frames: Frames
    voiced: int
    """Samples."""
    samples: int
    """That the gate let through."""


def find_intruders(pieces: Iterable[Piece]) -> tuple[list[Intruder], int]:
    """Let the gate hear sounds one after the other.

    Returns:
        what it took for speech, and how many samples there were
    """
    gate = Gate()
    position = 0
    out: list[Intruder] = []
    audio: list[Samples] = []
    name = ""
    for piece in [*pieces, None]:
        events = gate.finish() if piece is None else gate.push(Block(piece.samples, position))
        position += 0 if piece is None else len(piece.samples)
        for event in events:
            match event:
                case SpeechStarted():
                    audio, name = [], piece.name if piece else name
                case SpeechAudio():
                    audio.append(event.samples)
                case SpeechEnded():
                    heard = np.concatenate(audio)
                    out.append(Intruder(name, compute_features(heard), event.voiced, len(heard)))
    return out, position
