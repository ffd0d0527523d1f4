"""A seeded stream of noise without speech: generated sounds, and recordings of kinds that training leaves out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from ser_model.audio.files import read_audio
from ser_model.training.data.acoustic_conditions import load_held_out
from ser_model.training.data.augment import HELD_OUT_NOISES, Wave, to_wave
from ser_model.training.data.noises import GENERATORS
from ser_model.types import SAMPLE_RATE, Samples

NoiseSource = Callable[[int, np.random.Generator], Wave]
"""Makes noise: number of samples, random number generator."""

SECONDS: Final = 3_600
"""Default length of the stream."""

CLIP_SECONDS: Final = (10, 40)
"""Shortest and longest clip."""

LEVEL_DBFS: Final = (-50.0, -20.0)
"""Lowest and highest level of a clip."""

ROOM_DBFS: Final = -65.0
"""Level of the constant background noise."""

NOT_NOISE: Final = ("baby_cry",)
"""A human voice, which the gate correctly passes."""


@dataclass(frozen=True, slots=True)
class NoiseClip:
    """One sound of the stream."""

    name: str
    samples: Samples


def tones(samples: int, rng: np.random.Generator) -> Wave:
    """Return beeps of up to a second with pauses, some gliding, as of appliances, alarms or a modem."""
    out = np.zeros(samples, dtype=np.float32)
    at = 0
    while at < samples:
        time = np.arange(min(samples - at, int(rng.uniform(0.05, 1.0) * SAMPLE_RATE))) / SAMPLE_RATE
        glide = rng.choice((0.0, 0.0, rng.uniform(-800, 800)))
        out[at : at + len(time)] = np.sin(2 * np.pi * (rng.uniform(200, 3500) + glide * time) * time)
        at += len(time) + int(rng.uniform(0.05, 1.5) * SAMPLE_RATE)
    return out


def noise_sources(noise: Path, every_kind: bool = False) -> dict[str, NoiseSource]:
    """Return sources of noise by name: all generators, and recordings.

    Args:
        noise: folder of recordings. The kind of a file is its folder's name, or a known kind that the name of a folder
            or of the file begins with.
        every_kind: include kinds that training uses.

    Raises:
        SerError: the folder does not exist, or holds no recording of a kind that training leaves out.
    """
    load_held_out(noise, None)
    kinds: dict[str, list[Wave]] = {}
    for path in sorted(noise.rglob("*")):
        parts = path.relative_to(noise).parts
        if path.suffix not in (".wav", ".flac") or any(part.startswith(NOT_NOISE) for part in parts):
            continue
        held_out = [kind for kind in HELD_OUT_NOISES if any(part.startswith(kind) for part in parts)]
        if held_out or every_kind:
            kinds.setdefault(held_out[0] if held_out else path.parent.name, []).append(to_wave(read_audio(path)))
    recorded = {f"{kind} (recorded)": _player(waves) for kind, waves in kinds.items()}
    return {**GENERATORS, "tones": tones, **recorded}


def _player(waves: list[Wave]) -> NoiseSource:
    def play(samples: int, rng: np.random.Generator) -> Wave:
        """Concatenate the recordings in random order, each normalised to its peak."""
        order = [waves[at] / max(float(np.abs(waves[at]).max()), 1e-4) for at in rng.permutation(len(waves))]
        whole = np.concatenate(order)
        return np.tile(whole, samples // len(whole) + 1)[:samples]

    return play


def noise_clips(noise: Path, seconds: int = SECONDS, seed: int = 0, every_kind: bool = False) -> Iterator[NoiseClip]:
    """Yield clips until the stream is `seconds` long; the same seed and folder give the same clips."""
    sources_by_name = noise_sources(noise, every_kind)
    rng = np.random.default_rng(seed)
    names = sorted(sources_by_name)
    remaining: list[str] = []
    left = seconds * SAMPLE_RATE
    while left > 0:
        remaining = remaining or [names[at] for at in rng.permutation(len(names))]
        length = min(left, int(rng.uniform(*CLIP_SECONDS) * SAMPLE_RATE))
        name = remaining.pop()
        wave = np.asarray(sources_by_name[name](length, rng), dtype=np.float64)
        level = 10 ** (rng.uniform(*LEVEL_DBFS) / 20)
        wave = wave * level / max(float(np.sqrt(np.mean(np.square(wave)))), 1e-9)
        wave = wave + 10 ** (ROOM_DBFS / 20) * rng.standard_normal(length)
        yield NoiseClip(name, np.clip(np.rint(wave * 32768), -32768, 32767).astype(np.int16))
        left -= length
