"""Augmentation of waveforms: speed, rooms, noise, other voices and transmission.

Levels are changed later, in `ser_model.training.networks.frame_store`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from ser_model.audio.files import read_audio
from ser_model.errors import SerError
from ser_model.training.data.noises import GENERATORS
from ser_model.training.data.transmission import Transmission, transmit
from ser_model.types import SAMPLE_RATE, Samples

Wave = npt.NDArray[np.float32]

HELD_OUT_NOISES = ("rain", "sea_waves", "dog_bark", "baby_cry", "doing_the_dishes", "running_tap")
"""Prefixes of files or folders of noises that training leaves out, so that robustness can be measured on them."""

HELD_OUT_ROOMS = ("kitchen",)
"""Prefixes of names of room responses that training leaves out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentConfig:
    """Ranges of the changes."""

    speed: float = 0.12
    """Largest relative change of speed, which changes the pitch too."""
    noise_share: float = 0.6
    """Share of variants with noise."""
    snr_db: tuple[float, float] = (5.0, 30.0)
    """Range of the signal-to-noise ratio."""
    room_share: float = 0.3
    """Share of variants with the reverberation of a room."""
    voices_share: float = 0.15
    """Share of variants with other voices behind the speech, if there are any."""
    voices_snr_db: tuple[float, float] = (10.0, 30.0)
    """Range of the ratio of the speech to these voices."""
    transmissions: Mapping[Transmission, float] = field(
        default_factory=lambda: {"opus": 0.35, "telephone": 0.05, "gsm": 0.05, "headset": 0.1}
    )
    """Share of variants that are sent over each kind of channel."""
    pre_roll_ms: tuple[int, int] = (100, 500)
    """Range of the gate's pre-roll."""
    hangover_ms: tuple[int, int] = (500, 900)
    """Range of the gate's hangover."""


@dataclass
class AcousticEnvironment:
    """Noises and room impulse responses to draw from; without recorded noises, generated ones are used."""

    noises: list[Wave] = field(default_factory=list)
    rooms: list[Wave] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    """Kind of each noise; only for held-out noises."""

    @classmethod
    def load(cls, noise: Path | None, rooms: Path | None) -> AcousticEnvironment:
        """Read all WAV and FLAC files below two folders, except those that are held out.

        Raises:
            SerError: A folder does not exist.
        """
        return cls(_read_all(noise, HELD_OUT_NOISES), _read_all(rooms, HELD_OUT_ROOMS))

    def noise(self, length: int, rng: np.random.Generator) -> Wave:
        """Draw a segment of a recorded noise (in three of four cases) or a generated noise."""
        if self.noises and rng.random() < 0.75:
            noise = self.noises[rng.integers(len(self.noises))]
            noise = np.tile(noise, length // len(noise) + 2)
            start = rng.integers(len(noise) - length)
            return noise[start : start + length]
        name = rng.choice(sorted(GENERATORS))
        return GENERATORS[name](length, rng)


def check_folders(*paths: Path | None) -> None:
    """Check that folders of sounds exist; `None` stands for no folder.

    Raises:
        SerError: One does not exist.
    """
    for path in paths:
        if path is not None and not path.is_dir():
            raise SerError(f"{path}: expected a folder of WAV or FLAC files, found no such folder")


def _read_all(folder: Path | None, held_out: tuple[str, ...]) -> list[Wave]:
    check_folders(folder)
    if folder is None:
        return []
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix in (".wav", ".flac")]
    used = [path for path in paths if not any(part.startswith(held_out) for part in path.parts)]
    return [to_wave(read_audio(path)) for path in used]


def to_wave(samples: Samples) -> Wave:
    """Convert samples to float32, full scale at ±1."""
    return samples.astype(np.float32) / np.float32(32768)


def change_speed(wave: Wave, factor: float) -> Wave:
    """Play faster (factor above 1) or slower; the pitch changes too."""
    import soxr

    changed: Wave = soxr.resample(wave, SAMPLE_RATE * factor, SAMPLE_RATE)
    return changed


def add_reverberation(wave: Wave, response: Wave) -> Wave:
    """Convolve with a room impulse response, aligned to its direct path; the level stays the same."""
    from scipy.signal import fftconvolve

    direct = int(np.argmax(np.abs(response)))
    wet = fftconvolve(wave, response)[direct : direct + len(wave)]
    scaled: Wave = (wet * _rms(wave) / max(_rms(wet), 1e-9)).astype(np.float32)
    return scaled


def add_noise(wave: Wave, noise: Wave, snr_db: float) -> Wave:
    """Add noise at a ratio of the power of the loud parts of the speech (above its mean) to that of the noise."""
    power = np.square(wave)
    speech = float(np.sqrt(power[power > power.mean()].mean()))
    return (wave + noise * speech / max(_rms(noise), 1e-9) * 10 ** (-snr_db / 20)).astype(np.float32)


def _rms(wave: npt.NDArray[Any]) -> float:
    return float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))


def murmur(recordings: Sequence[Samples], length: int, rng: np.random.Generator) -> Wave:
    """Return other voices of a length: recordings that run backwards, so that nobody understands them."""
    total = np.zeros(length, dtype=np.float32)
    for recording in recordings:
        wave = change_speed(to_wave(recording)[::-1].copy(), rng.uniform(0.8, 1.25))
        total += np.resize(np.roll(wave, rng.integers(len(wave))), length) / max(_rms(wave), 1e-6)
    return total


def augment(
    samples: Samples,
    config: AugmentConfig,
    environment: AcousticEnvironment,
    rng: np.random.Generator,
    voices: Sequence[Samples] = (),
) -> Samples:
    """Draw a variant of a recording: speed, room, noise, other voices and transmission, in this order.

    Args:
        samples: int16 at 16 kHz, as the result.
        config: the ranges.
        environment: noises and rooms.
        rng: source of the random numbers.
        voices: recordings that other voices are made of.
    """
    wave = to_wave(samples)
    wave = change_speed(wave, 1 + rng.uniform(-config.speed, config.speed))
    if environment.rooms and rng.random() < config.room_share:
        wave = add_reverberation(wave, environment.rooms[rng.integers(len(environment.rooms))])
    if rng.random() < config.noise_share:
        wave = add_noise(wave, environment.noise(len(wave), rng), rng.uniform(*config.snr_db))
    if len(voices) and rng.random() < config.voices_share:
        wave = add_noise(wave, murmur(voices, len(wave), rng), rng.uniform(*config.voices_snr_db))
    way = _draw_transmission(config, rng)
    if way is not None:
        wave = transmit(wave, way, rng)
    return np.clip(np.rint(wave * 32768), -32768, 32767).astype(np.int16)


def _draw_transmission(config: AugmentConfig, rng: np.random.Generator) -> Transmission | None:
    chance = rng.random()
    for way in get_args(Transmission):
        chance -= config.transmissions.get(way, 0.0)
        if chance < 0:
            drawn: Transmission = way
            return drawn
    return None
