"""Acoustic conditions that change a recording: held-out noises and rooms, levels, and a telephone band."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from ser_model.audio.files import read_audio
from ser_model.errors import SerError
from ser_model.training.data.augment import (
    HELD_OUT_NOISES,
    HELD_OUT_ROOMS,
    AcousticEnvironment,
    Wave,
    add_noise,
    add_reverberation,
    to_wave,
)
from ser_model.training.data.segmentation import PADDING, pad_with_room_noise
from ser_model.training.data.transmission import simulate_telephone
from ser_model.types import Samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One change of every recording before the gate."""

    name: str
    title: str
    snr_db: float | None = None
    """Ratio of speech to a held-out noise; `None`: no noise."""
    room: bool = False
    """With the reverberation of a held-out room."""
    level_db: float = 0.0
    """Change of level. Samples beyond the range of int16 are clipped."""
    telephone: bool = False
    """Narrow band, sampled at 8 kHz."""


CLEAN: Final = Condition(name="clean", title="as recorded")

CONDITIONS: Final = (
    Condition(name="snr-20", title="noise, 20 dB SNR", snr_db=20),
    Condition(name="snr-10", title="noise, 10 dB SNR", snr_db=10),
    Condition(name="snr-5", title="noise, 5 dB SNR", snr_db=5),
    Condition(name="room", title="in a kitchen", room=True),
    Condition(name="quiet", title="20 dB softer", level_db=-20),
    Condition(name="loud", title="10 dB louder", level_db=10),
    Condition(name="telephone", title="telephone band", telephone=True),
)


def load_held_out(noise: Path | None, rooms: Path | None) -> AcousticEnvironment:
    """Read the noises and rooms that are held out from training.

    Raises:
        SerError: A folder does not exist, or holds none of them.
    """
    noises, kinds = _held_out(noise, HELD_OUT_NOISES)
    return AcousticEnvironment(noises, _held_out(rooms, HELD_OUT_ROOMS)[0], kinds)


def _held_out(folder: Path | None, prefixes: tuple[str, ...]) -> tuple[list[Wave], list[str]]:
    """Read the sounds whose path has one of the prefixes, and return the prefix of each too."""
    if folder is None:
        return [], []
    if not folder.is_dir():
        raise SerError(f"{folder}: expected a folder of WAV or FLAC files, found no such folder")
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix in (".wav", ".flac")]
    parts = {path: path.relative_to(folder).parts for path in paths}
    kept = {
        path: next(one for one in prefixes if any(part.startswith(one) for part in parts[path]))
        for path in paths
        if any(part.startswith(prefixes) for part in parts[path])
    }
    if not kept:
        names = ", ".join(prefixes)
        raise SerError(f"{folder}: found no WAV or FLAC file or folder that is kept from training ({names})")
    return [to_wave(read_audio(path)) for path in kept], list(kept.values())


def noise_index(name: str, count: int) -> int:
    """Index of the noise, of `count`, that a recording of this name gets in a condition without a room."""
    return int(np.random.default_rng(list(name.encode())).integers(count))


def noise_kinds(held_out: AcousticEnvironment, names: Sequence[str]) -> npt.NDArray[np.str_]:
    """Kind of noise that each recording gets, shape (recordings,); empty if there is no noise."""
    if not held_out.noises:
        return np.array([], dtype=np.str_)
    return np.array([held_out.kinds[noise_index(name, len(held_out.noises))] for name in names])


def apply(condition: Condition, samples: Samples, held_out: AcousticEnvironment, seed: str) -> Samples:
    """Pad a recording by `pad_with_room_noise`, and change it and the padding.

    Args:
        condition: the change.
        samples: the recording, int16 at 16 kHz.
        held_out: noises and rooms, from `load_held_out`.
        seed: name of the recording. It determines the noise and the place in it, the same at every ratio.

    Returns:
        int16 at 16 kHz; the recording starts at sample `PADDING`
    """
    rng = np.random.default_rng(list(seed.encode()))
    wave = to_wave(pad_with_room_noise(samples))
    if condition.room:
        wave = add_reverberation(wave, held_out.rooms[rng.integers(len(held_out.rooms))])
    if condition.snr_db is not None:
        wave = _with_noise(wave, _draw_noise(held_out.noises, len(wave), rng), condition.snr_db)
    if condition.telephone:
        wave = simulate_telephone(wave)
    wave = wave * np.float32(10 ** (condition.level_db / 20))
    return np.clip(np.rint(wave * 32768), -32768, 32767).astype(np.int16)


def _draw_noise(noises: list[Wave], length: int, rng: np.random.Generator) -> Wave:
    """Draw a segment of one of the noises; short ones are repeated."""
    noise = noises[rng.integers(len(noises))]
    noise = np.tile(noise, length // len(noise) + 2)
    start = rng.integers(len(noise) - length)
    return noise[start : start + length]


def _with_noise(wave: Wave, noise: Wave, snr_db: float) -> Wave:
    """Add noise throughout, at the ratio that `add_noise` gives for the recording without its padding."""
    own = slice(PADDING, len(wave) - PADDING)
    added = add_noise(wave[own], noise[own], snr_db) - wave[own]
    scale = float(np.dot(added, noise[own])) / max(float(np.dot(noise[own], noise[own])), 1e-12)
    return wave + noise * np.float32(scale)
