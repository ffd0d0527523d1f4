"""Prosodic features: pitch, voice quality, spectral balance and loudness, twenty per frame.

Every feature depends only on its frame and on the utterance before it, so live features equal those of the training.
They follow openSMILE's GeMAPS (Eyben et al. 2016, doi 10.1109/TAFFC.2015.2457417), as far as one spectrum every 43 ms
allows.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ser_model.types import SAMPLE_RATE

COLUMNS: Final = (
    "f0",
    "voicing",
    "f0-delta",
    "zero-crossings",
    "centroid",
    "rolloff",
    "flux",
    "flatness",
    "alpha-ratio",
    "hammarberg",
    "slope-250",
    "slope-1000",
    "slope-4000",
    "roughness",
    "energy-delta",
    "energy-relative",
    "f0-relative",
    "harmonicity",
    "h1-h2",
    "spread",
)
"""Names of the features. Pitch is in octaves above 100 Hz, levels and ratios are natural logarithms of powers."""

_Array = npt.NDArray[Any]

_SHORTEST, _LONGEST = 20, 266
"""Range of the pitch period in samples: 800 to 60 Hz."""
_OCTAVE_COST = 0.02
"""Gain in autocorrelation that a period of twice the length needs (octave cost, Boersma 1993)."""
_VOICED = 0.5
"""Autocorrelation at the period from which a frame counts as voiced."""
_START_F0 = 0.8
"""Pitch before the first voiced frame: 174 Hz, between the usual pitches of men and women."""
_FLOOR = 1e-3
"""Power added to every bin, far below one step of 16-bit audio, so that silence has a logarithm."""
_BANDS = ((60, 250), (250, 500), (500, 1000), (1000, 1500), (50, 1000), (1000, 5000), (4000, 8000), (1000, 4000))
"""Edges in Hz of the bands that slopes and ratios compare."""


class Prosody:
    """Converts spectra and samples of successive frames to prosodic features; keeps state of the utterance."""

    def __init__(self, nfft: int, window: _Array, pre_emphasis: float) -> None:
        bins = np.arange(nfft // 2 + 1)
        hertz = bins * SAMPLE_RATE / nfft
        self._hertz = hertz
        # The input has pre-emphasis, which must not change pitch and spectral balance.
        emphasis = np.abs(1 - pre_emphasis * np.exp(-2j * np.pi * bins / nfft)) ** 2
        self._deemphasis = 1 / emphasis
        bands = [(hertz >= low) & (hertz < high) for low, high in _BANDS]
        self._sums = np.stack((np.ones_like(hertz), hertz, hertz**2, *bands), axis=1)
        low, middle = (int(np.searchsorted(hertz, edge)) for edge in (2000, 5000))
        self._low, self._middle = slice(0, low), slice(low, middle)
        self._speech = slice(8, 640)
        self._lowpass = 1 / (1 + (hertz / 1200) ** 4)
        correlation = np.fft.irfft(np.abs(np.fft.rfft(window, 2 * nfft)) ** 2)[: _LONGEST + 2]
        self._window_correlation = correlation / correlation[0]
        self._octave_costs = _OCTAVE_COST * np.log2(np.arange(_SHORTEST, _LONGEST + 1) / _SHORTEST)
        self._nfft = nfft
        self.reset()

    def reset(self) -> None:
        """Start another utterance."""
        self._f0 = _START_F0
        self._mel: _Array | None = None
        self._energy: float | None = None
        self._sum_energy = self._sum_f0 = 0.0
        self._frames = self._voiced = 0

    def compute(self, power: _Array, mel: _Array, energy: _Array, raw: _Array) -> _Array:
        """Features of the next frames.

        Args:
            power: pre-emphasised power spectra, shape (frames, nfft / 2 + 1).
            mel: log mel energies, shape (frames, filters).
            energy: log energies, shape (frames,).
            raw: samples, shape (frames, frame length).

        Returns:
            shape (frames, 20), in the order of `COLUMNS`, in float64
        """
        power = power * self._deemphasis + _FLOOR
        f0, voicing = self._pitch(power)
        held, f0_delta, f0_relative, is_voiced = self._pitch_contour(f0, voicing)
        energy_delta, energy_relative, flux = self._energy_contour(energy.astype(np.float64), mel)
        centroid, rolloff, flatness, spread, balance = self._spectral_shape(power)
        columns = (
            held,
            voicing,
            f0_delta,
            _zero_crossings(raw),
            centroid,
            rolloff,
            flux,
            flatness,
            *balance,
            _roughness(raw),
            energy_delta,
            energy_relative,
            f0_relative,
            np.log(voicing + 1e-3) - np.log(1 - voicing),
            self._first_harmonics(power, held, is_voiced),
            spread,
        )
        return np.stack(columns, axis=1)

    def _spectral_shape(self, power: _Array) -> tuple[_Array, _Array, _Array, _Array, tuple[_Array, ...]]:
        """Centroid, roll-off, flatness, spread, and the ratios from `alpha-ratio` to `slope-4000`, all logarithms."""
        sums = (power @ self._sums).T
        total, first, second = sums[:3]
        centroid = first / total
        spread = np.sqrt(np.maximum(second / total - centroid**2, 1))
        rolloff = self._hertz[(np.cumsum(power, axis=1) >= 0.85 * total[:, None]).argmax(axis=1)]
        speech = power[:, self._speech]
        flatness = np.log(speech).mean(axis=1) - np.log(speech.mean(axis=1))
        log = np.log(np.maximum(sums[3:], _FLOOR))
        hammarberg = np.log(power[:, self._low].max(axis=1) / power[:, self._middle].max(axis=1))
        balance = (log[5] - log[4], hammarberg, log[1] - log[0], log[3] - log[2], log[6] - log[7])
        return np.log(centroid), np.log(rolloff + 50), flatness, np.log(spread), balance

    def _pitch(self, power: _Array) -> tuple[_Array, _Array]:
        """Pitch in octaves above 100 Hz and autocorrelation at its period (Boersma 1993), each of shape (frames,)."""
        correlation = np.fft.irfft(power * self._lowpass, self._nfft)[:, : _LONGEST + 2]
        correlation = correlation / np.maximum(correlation[:, :1], 1e-9) / self._window_correlation
        here = correlation[:, _SHORTEST : _LONGEST + 1]
        peak = (here >= correlation[:, _SHORTEST - 1 : _LONGEST]) & (here >= correlation[:, _SHORTEST + 1 :])
        best = np.where(peak, here - self._octave_costs, -1).argmax(axis=1) + _SHORTEST
        before, at, after = _around(correlation, best).T
        curvature = before - 2 * at + after
        steep = np.abs(curvature) > 1e-9
        shift = np.where(steep, (before - after) / 2 / np.where(steep, curvature, 1), 0)
        return np.log2(SAMPLE_RATE / (best + shift.clip(-0.5, 0.5)) / 100), at.clip(0, 0.999)

    def _pitch_contour(self, f0: _Array, voicing: _Array) -> tuple[_Array, _Array, _Array, _Array]:
        """Pitch held through unvoiced frames, its change, its distance from the mean so far, and the voiced frames."""
        is_voiced = voicing > _VOICED
        last = np.maximum.accumulate(np.where(is_voiced, np.arange(len(f0)), -1))
        held = np.where(last >= 0, f0[last], self._f0)
        delta = changes(held, None if self._frames == 0 else self._f0)
        total = self._sum_f0 + np.cumsum(np.where(is_voiced, f0, 0))
        count = self._voiced + np.cumsum(is_voiced)
        relative = np.where(is_voiced, held - total / np.maximum(count, 1), 0)
        self._f0, self._sum_f0, self._voiced = float(held[-1]), float(total[-1]), int(count[-1])
        return held, delta, relative, is_voiced

    def _energy_contour(self, energy: _Array, mel: _Array) -> tuple[_Array, _Array, _Array]:
        """Change of the log energy, its distance from the mean so far, and the log spectral flux."""
        delta = changes(energy, self._energy)
        total = self._sum_energy + np.cumsum(energy)
        relative = energy - total / (self._frames + np.arange(1, len(energy) + 1))
        flux = np.log(np.sqrt(np.square(changes(mel, self._mel), dtype=np.float64).mean(axis=1)) + 1e-2)
        self._mel, self._energy = mel[-1], float(energy[-1])
        self._sum_energy = float(total[-1])
        self._frames += len(energy)
        return delta, relative, flux

    def _first_harmonics(self, power: _Array, f0: _Array, is_voiced: _Array) -> _Array:
        """Log ratio of the powers of the first two harmonics, which is high for a breathy voice."""
        harmonics = np.array([[100], [200]]) * 2**f0 * self._nfft / SAMPLE_RATE
        first, second = (np.log(_around(power, np.rint(at).astype(np.int64)).max(axis=1)) for at in harmonics)
        return np.asarray(np.where(is_voiced, first - second, 0))


def changes(values: _Array, before: _Array | float | None) -> _Array:
    """Differences of successive values along the first axis, the first one from `before`, or 0 where it is None."""
    differences = np.empty_like(values)
    differences[0] = 0 if before is None else values[0] - before
    np.subtract(values[1:], values[:-1], out=differences[1:])
    return differences


def _around(rows: _Array, columns: _Array) -> _Array:
    """From each row the value in its column and those beside it, shape (rows, 3)."""
    return np.asarray(rows[np.arange(len(rows))[:, None], columns[:, None] + (-1, 0, 1)])


def _zero_crossings(raw: _Array) -> _Array:
    """Logarithm of the share of samples at which the sign changes."""
    negative = raw < 0
    crossings = np.count_nonzero(negative[:, 1:] != negative[:, :-1], axis=1)
    return np.asarray(np.log(crossings / (raw.shape[1] - 1) + 1e-3))


def _roughness(raw: _Array) -> _Array:
    """Standard deviation of the log energies of four parts of a frame."""
    parts = raw[:, : raw.shape[1] // 4 * 4].reshape(len(raw), 4, -1).astype(np.float64)
    return np.asarray(np.log(np.einsum("fps,fps->fp", parts, parts) + 1).std(axis=1))
