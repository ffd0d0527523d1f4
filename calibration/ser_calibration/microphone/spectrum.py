"""Power spectra and their third octaves."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ser_model.audio.levels import SILENCE_DBFS
from ser_model.types import SAMPLE_RATE, Samples

CENTRES: npt.NDArray[np.float64] = 1000.0 * 10.0 ** (np.arange(-13, 9) / 10.0)
"""Centre frequencies in Hz of the third octaves below 8 kHz, 50 to 6310 (IEC 61260-1, base ten)."""

_LENGTH = 4096
_HALF_BAND = 10.0**0.05


def power_density(samples: Samples) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return frequencies in Hz and the power at each, both of shape (2049,); the powers add up to the mean square.

    Mean of Hann-windowed periodograms of 256 ms that overlap by half (Welch 1967, doi 10.1109/TAU.1967.1161901).
    Full scale is 1; the mean (DC) is removed.

    Args:
        samples: int16, shape (n,), 16 kHz; fewer than 4096 are padded with zeros.
    """
    wave = samples.astype(np.float64) / 32768.0
    wave = wave - wave.mean() if len(wave) else wave
    wave = np.pad(wave, (0, max(0, _LENGTH - len(wave))))
    window = np.hanning(_LENGTH)
    pieces = np.lib.stride_tricks.sliding_window_view(wave, _LENGTH)[:: _LENGTH // 2]
    power = np.zeros(_LENGTH // 2 + 1)
    for piece in pieces:
        power += np.abs(np.fft.rfft(piece * window)) ** 2
    power *= 2.0 / (len(pieces) * _LENGTH * float(np.sum(window**2)))
    frequencies = np.arange(len(power), dtype=np.float64) * (SAMPLE_RATE / _LENGTH)
    return frequencies, power.astype(np.float64)


def band_levels(samples: Samples) -> npt.NDArray[np.float64]:
    """Return the level in dBFS of each third octave of `CENTRES`, at least -120."""
    frequencies, power = power_density(samples)
    width = frequencies[1]
    edges = np.arange(len(frequencies) + 1) * width - width / 2
    total = np.concatenate(([0.0], np.cumsum(power)))
    # Interpolated because the lowest bands are at most three lines of the spectrum wide.
    below, above = (np.interp(CENTRES * factor, edges, total) for factor in (1 / _HALF_BAND, _HALF_BAND))
    return np.asarray(np.maximum(10.0 * np.log10(above - below + 1e-12), -120.0), dtype=np.float64)


def band_level(samples: Samples, low: float, high: float) -> float:
    """Return the level in dBFS between two frequencies in Hz, at least -96."""
    frequencies, power = power_density(samples)
    inside = power[(frequencies >= low) & (frequencies < high)].sum()
    return max(float(10.0 * np.log10(inside + 1e-12)), SILENCE_DBFS)


def low_share(samples: Samples, below: float = 150.0) -> float:
    """Return the share of the power below a frequency in Hz, 0 to 1."""
    frequencies, power = power_density(samples)
    total = float(power.sum())
    return float(power[frequencies < below].sum()) / total if total > 0 else 0.0
