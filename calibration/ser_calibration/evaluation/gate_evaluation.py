"""What the gate finds: speech in noise, and in noise alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
from rich.progress import track

from ser_calibration.evaluation.noise_stream import Piece
from ser_model.audio.files import read_audio
from ser_model.audio.gate import Gate
from ser_model.config import GateConfig
from ser_model.features.features import compute_features
from ser_model.training.data.acoustic_conditions import Condition, apply
from ser_model.training.data.augment import AcousticEnvironment
from ser_model.training.data.corpus import Corpus, Recording
from ser_model.training.data.segmentation import Segmentation, segment, speech_extent
from ser_model.training.processes import new_pool
from ser_model.types import Block, Frames, Samples, SpeechAudio, SpeechEnded, SpeechStarted


def find_speech(
    corpus: Corpus, noises: AcousticEnvironment, snr_db: float | None, workers: int | None
) -> list[Segmentation]:
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


def _find(recording: Recording, noises: AcousticEnvironment, snr_db: float | None) -> Segmentation:
    samples = read_audio(recording.path)
    condition = Condition(name="found", title="", snr_db=snr_db)
    whole = apply(condition, samples, noises, recording.name)
    return segment(whole, GateConfig(), speech_extent(samples))


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
