"""Seeded generators of sounds that are not speech: float32 at 16 kHz, about -30 dBFS."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ser_model.types import SAMPLE_RATE

Signal = npt.NDArray[np.float32]
Generator = np.random.Generator


def _shaped(samples: int, rng: Generator, gain: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]) -> Signal:
    """Gaussian noise whose amplitude spectrum is `gain(frequency in Hz)`."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    frequency = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE)
    return np.fft.irfft(spectrum * gain(np.maximum(frequency, 1.0)), samples).astype(np.float32)


def _at_level(signal: Signal, level_dbfs: float = -30.0) -> Signal:
    rms = float(np.sqrt(np.mean(np.square(signal, dtype=np.float64))))
    return (signal * (10 ** (level_dbfs / 20) / max(rms, 1e-9))).astype(np.float32)


def white(samples: int, rng: Generator) -> Signal:
    """White noise, equal power in every Hz, as the hiss of a preamplifier."""
    return _at_level(_shaped(samples, rng, np.ones_like))


def pink(samples: int, rng: Generator) -> Signal:
    """Pink noise, equal power in every octave, as wind or distant traffic."""
    return _at_level(_shaped(samples, rng, lambda f: f**-0.5))


def hum(samples: int, rng: Generator) -> Signal:
    """Mains hum: 50 Hz, its harmonics, and weak noise."""
    time = np.arange(samples) / SAMPLE_RATE
    tone = np.zeros(samples)
    for harmonic in range(1, 8):
        tone += np.sin(2 * np.pi * 50 * harmonic * time + rng.uniform(0, 2 * np.pi)) / harmonic
    return _at_level((tone + 0.02 * rng.standard_normal(samples)).astype(np.float32))


def fan(samples: int, rng: Generator) -> Signal:
    """A fan: low-passed noise, tones of the blades, slow amplitude modulation."""
    noise = _shaped(samples, rng, lambda f: 1 / (1 + (f / 400) ** 2))
    noise /= np.std(noise)
    time = np.arange(samples) / SAMPLE_RATE
    blade = 0.5 * np.sin(2 * np.pi * 118 * time) + 0.25 * np.sin(2 * np.pi * 236 * time)
    beat = 1 + 0.2 * np.sin(2 * np.pi * 0.7 * time)
    return _at_level(((noise + blade) * beat).astype(np.float32))


def _scatter(samples: int, rng: Generator, per_second: float, make: Callable[[], Signal]) -> Signal:
    """Add short sounds at the arrival times of a Poisson process."""
    out = np.zeros(samples, dtype=np.float32)
    for at in rng.integers(0, samples, rng.poisson(per_second * samples / SAMPLE_RATE)):
        sound = make()[: samples - at]
        out[at : at + len(sound)] += sound
    return out


def _click(rng: Generator, seconds: float, low_hz: float, high_hz: float) -> Signal:
    """A decaying burst with one resonance."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    ring = np.sin(2 * np.pi * rng.uniform(low_hz, high_hz) * time) + 0.7 * rng.standard_normal(len(time))
    return (rng.uniform(0.3, 1.0) * ring * np.exp(-time * 6 / seconds)).astype(np.float32)


def rain(samples: int, rng: Generator) -> Signal:
    """Rain on a window: many small drops over noise."""
    drops = _scatter(samples, rng, 150.0, lambda: _click(rng, 0.008, 1500, 6000))
    return _at_level(drops + 0.05 * rng.standard_normal(samples).astype(np.float32))


def keyboard(samples: int, rng: Generator) -> Signal:
    """Typing: six clicks per second over weak noise."""
    keys = _scatter(samples, rng, 6.0, lambda: _click(rng, 0.025, 800, 4500))
    return _at_level(keys + 0.003 * rng.standard_normal(samples).astype(np.float32))


def music(samples: int, rng: Generator) -> Signal:
    """Plucked chords of a major scale, with six harmonics per note."""
    out = np.zeros(samples, dtype=np.float32)
    scale = 220.0 * 2 ** (np.array([0, 2, 4, 5, 7, 9, 11, 12, 14, 16]) / 12)
    for at in range(0, samples, SAMPLE_RATE // 2):
        time = np.arange(min(SAMPLE_RATE, samples - at)) / SAMPLE_RATE
        for note in rng.choice(scale, size=3, replace=False):
            for harmonic in range(1, 7):
                tone = np.sin(2 * np.pi * note * harmonic * time) / harmonic**1.5
                out[at : at + len(time)] += tone * np.exp(-3 * time)
    return _at_level(out + 0.001 * rng.standard_normal(samples).astype(np.float32))


GENERATORS: dict[str, Callable[[int, Generator], Signal]] = {
    "white": white,
    "pink": pink,
    "hum": hum,
    "fan": fan,
    "rain": rain,
    "keyboard": keyboard,
    "music": music,
}
"""Generators by name: `GENERATORS["fan"](samples, rng)`."""
