"""Run the gate on speech in noise, and on noise alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
from rich.progress import track

from ser_calibration.evaluation.noise_stream import NoiseClip
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


def segment_recordings(
    corpus: Corpus, environment: AcousticEnvironment, snr_db: float | None, workers: int | None
) -> list[Segmentation]:
    """Run the gate on every recording, clean or with noise before, under and after it.

    Args:
        corpus: the recordings.
        environment: the noises, as `load_held_out` reads them.
        snr_db: signal-to-noise ratio; `None` adds no noise.
        workers: processes; `None` starts one per core.
    """
    work = partial(_segment, environment=environment, snr_db=snr_db)
    with new_pool(workers) as pool:
        steps = pool.imap(work, corpus.recordings, chunksize=8)
        title = "gate, clean" if snr_db is None else f"gate, {snr_db:g} dB"
        return list(track(steps, title, len(corpus.recordings)))


def _segment(recording: Recording, environment: AcousticEnvironment, snr_db: float | None) -> Segmentation:
    samples = read_audio(recording.path)
    condition = Condition(name="found", title="", snr_db=snr_db)
    whole = apply(condition, samples, environment, recording.name)
    return segment(whole, GateConfig(), speech_extent(samples))


@dataclass(frozen=True, slots=True)
class FalseAlarm:
    """Noise that the gate classifies as speech."""

    name: str
    """Name of the clip in which it starts."""
    frames: Frames
    voiced: int
    """Voiced samples."""
    samples: int
    """Samples that pass the gate."""


def find_false_alarms(clips: Iterable[NoiseClip]) -> tuple[list[FalseAlarm], int]:
    """Run the gate on clips of noise, one after the other.

    Returns:
        the false alarms, and the number of samples of all clips
    """
    gate = Gate()
    position = 0
    found: list[FalseAlarm] = []
    blocks: list[Samples] = []
    name = ""
    for clip in [*clips, None]:
        events = gate.finish() if clip is None else gate.push(Block(clip.samples, position))
        position += 0 if clip is None else len(clip.samples)
        for event in events:
            match event:
                case SpeechStarted():
                    blocks, name = [], clip.name if clip else name
                case SpeechAudio():
                    blocks.append(event.samples)
                case SpeechEnded():
                    samples = np.concatenate(blocks)
                    found.append(FalseAlarm(name, compute_features(samples), event.voiced, len(samples)))
    return found, position
