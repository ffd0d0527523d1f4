"""An hour without speech: a seeded list of generated sounds and of recordings that training has not mixed in."""

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

Maker = Callable[[int, np.random.Generator], Wave]

SECONDS: Final = 3_600
PIECE_SECONDS: Final = (10, 40)
LEVEL_DBFS: Final = (-50.0, -20.0)
ROOM_DBFS: Final = -65.0
"""Of the hiss below everything."""
NOT_NOISE: Final = ("baby_cry",)
"""A human voice, which the gate is right to hear."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A sound of the hour."""

    name: str
    samples: Samples


def tones(samples: int, rng: np.random.Generator) -> Wave:
    """Beeps of a second or less, some gliding, with pauses: appliances, alarms, a modem."""
    out = np.zeros(samples, dtype=np.float32)
    at = 0
    while at < samples:
        time = np.arange(min(samples - at, int(rng.uniform(0.05, 1.0) * SAMPLE_RATE))) / SAMPLE_RATE
        glide = rng.choice((0.0, 0.0, rng.uniform(-800, 800)))
        out[at : at + len(time)] = np.sin(2 * np.pi * (rng.uniform(200, 3500) + glide * time) * time)
        at += len(time) + int(rng.uniform(0.05, 1.5) * SAMPLE_RATE)
    return out


def sources(noise: Path, every_kind: bool = False) -> dict[str, Maker]:
    """Makers of sound by name: all generators, and recordings.

    Args:
        noise: folder of recordings; what a file is of says its folder's name, or its own where it lies in `noise`
            or in a folder with files of other kinds.
        every_kind: also of kinds that training mixes in.

    Raises:
        SerError: the folder isn't there, or holds no recording of a kind that training leaves out.
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


def _player(waves: list[Wave]) -> Maker:
    def play(samples: int, rng: np.random.Generator) -> Wave:
        """Clips one after the other, each at its own level."""
        order = [waves[at] / max(float(np.abs(waves[at]).max()), 1e-4) for at in rng.permutation(len(waves))]
        whole = np.concatenate(order)
        return np.tile(whole, samples // len(whole) + 1)[:samples]

    return play


def pieces(noise: Path, seconds: int = SECONDS, seed: int = 0, every_kind: bool = False) -> Iterator[Piece]:
    """Sounds one after the other until so many seconds are full, the same for the same seed and folder."""
    makers = sources(noise, every_kind)
    rng = np.random.default_rng(seed)
    names = sorted(makers)
    deck: list[str] = []
    left = seconds * SAMPLE_RATE
    while left > 0:
        deck = deck or [names[at] for at in rng.permutation(len(names))]
        length = min(left, int(rng.uniform(*PIECE_SECONDS) * SAMPLE_RATE))
        name = deck.pop()
        wave = np.asarray(makers[name](length, rng), dtype=np.float64)
        level = 10 ** (rng.uniform(*LEVEL_DBFS) / 20)
        wave = wave * level / max(float(np.sqrt(np.mean(np.square(wave)))), 1e-9)
        wave = wave + 10 ** (ROOM_DBFS / 20) * rng.standard_normal(length)
        yield Piece(name, np.clip(np.rint(wave * 32768), -32768, 32767).astype(np.int16))
        left -= length
