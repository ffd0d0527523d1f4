"""Features: 34 MFCC and 12 chroma a frame at 16 kHz, computed as the samples come in."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ser_model.types import SAMPLE_RATE, Frames, Samples

FRAME: Final = 1365
"""Samples in a frame: 85 ms, the 4096 samples at 48 kHz of arXiv 2606.03359."""
HOP: Final = 683
"""Samples from one frame to the next: 43 ms."""
NFFT: Final = 2048
FILTERS: Final = 40
MFCC: Final = 34
CHROMA: Final = 12
SIZE: Final = MFCC + CHROMA
"""Numbers in a feature vector."""
LOG_ENERGY: Final = 0
"""Column of the log energy, which stands for the first cepstral coefficient."""
PRE_EMPHASIS: Final = 0.97
LIFTER: Final = 22

RECIPE: Final[dict[str, Any]] = {
    "sample_rate": SAMPLE_RATE,
    "frame": FRAME,
    "hop": HOP,
    "nfft": NFFT,
    "window": "hamming",
    "pre_emphasis": PRE_EMPHASIS,
    "mfcc": MFCC,
    "mel_filters": FILTERS,
    "lifter": LIFTER,
    "first_mfcc": "log-energy",
    "chroma": CHROMA,
    "chroma_tuning": 0,
}
"""What a model file must have been trained on; part of its metadata."""

_Matrix = npt.NDArray[np.float64]


def mel_filters() -> _Matrix:
    """Triangular filters, shape (40, 1025), with edges on whole FFT bins as in python_speech_features."""
    highest = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    mel = np.linspace(0, highest, FILTERS + 2)
    edges = np.floor((NFFT + 1) * 700 * (10 ** (mel / 2595) - 1) / SAMPLE_RATE)
    bins = np.arange(NFFT // 2 + 1)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising = (bins - left) / (centre - left)
    falling = (right - bins) / (right - centre)
    return np.asarray(np.where(bins < centre, np.maximum(rising, 0), np.maximum(falling, 0)))


def cepstrum_matrix() -> _Matrix:
    """Orthonormal DCT-II of the log filter energies, liftered (HTK book, section 5.6), shape (34, 40)."""
    order = np.arange(MFCC)[:, None]
    dct = np.cos(np.pi * order * (2 * np.arange(FILTERS) + 1) / (2 * FILTERS)) * np.sqrt(2 / FILTERS)
    dct[0] /= np.sqrt(2)
    return np.asarray(dct * (1 + LIFTER / 2 * np.sin(np.pi * order / LIFTER)))


def chroma_filters() -> _Matrix:
    """Weight of every FFT bin in the twelve pitch classes from C, shape (12, 1025).

    The map of D. Ellis' chroma features as librosa.filters.chroma computes it, with tuning fixed at 0: Gaussian
    bumps a semitone wide, each bin's weights of unit length, and octaves faded out around the fifth above 27.5 Hz.
    """
    semitones = CHROMA * np.log2(np.arange(1, NFFT) * SAMPLE_RATE / NFFT / (440 / 16))
    # Bin 0 has no pitch: it is placed an octave and a half below bin 1.
    semitones = np.concatenate(([semitones[0] - 1.5 * CHROMA], semitones))
    width = np.append(np.maximum(np.diff(semitones), 1.0), 1.0)
    half = CHROMA // 2
    distance = np.remainder(semitones - np.arange(CHROMA)[:, None] + half, CHROMA) - half
    weights = np.exp(-0.5 * (2 * distance / width) ** 2)
    weights /= np.linalg.norm(weights, axis=0)
    weights *= np.exp(-0.5 * ((semitones / CHROMA - 5.0) / 2.0) ** 2)
    from_a_to_c = 3
    return np.asarray(np.roll(weights, -from_a_to_c, axis=0)[:, : NFFT // 2 + 1])


class Features:
    """Turns the samples of one utterance into feature vectors, in pieces of any size.

    The MFCC equal `python_speech_features.mfcc` over the whole utterance (frame 1365, hop 683, Hamming window):
    pre-emphasis runs on across pieces, and `flush` gives the last frame, filled up with zeros.
    """

    def __init__(self, dtype: type[np.floating[Any]] = np.float32) -> None:
        self._dtype = dtype
        self._window = np.hamming(FRAME).astype(dtype)
        self._filters = np.concatenate((mel_filters(), chroma_filters())).T.astype(dtype)
        self._cepstrum = cepstrum_matrix().T.astype(dtype)
        self.reset()

    def reset(self) -> None:
        """Begin another utterance."""
        self._buffer = np.zeros(0, dtype=self._dtype)
        self._last: np.floating[Any] | None = None
        self._emitted = False

    def push(self, samples: Samples) -> Frames:
        """Take samples, int16, shape (n,); return the frames that they complete, shape (frames, 46)."""
        if len(samples) == 0:
            return self._compute(0)
        signal = samples.astype(self._dtype)
        previous = np.empty_like(signal)
        previous[0] = 0 if self._last is None else self._last
        previous[1:] = signal[:-1]
        self._last = signal[-1]
        emphasised = signal - self._dtype(PRE_EMPHASIS) * previous
        self._buffer = np.concatenate((self._buffer, emphasised))
        count = max(0, (len(self._buffer) - FRAME) // HOP + 1)
        self._emitted = self._emitted or count > 0
        return self._compute(count)

    def flush(self) -> Frames:
        """Return the frame of the samples that fill no whole one, if any, shape (0 or 1, 46), and reset."""
        frames = self._compute(0)
        covered = FRAME - HOP if self._emitted else 0
        if len(self._buffer) > covered:
            self._buffer = np.concatenate((self._buffer, np.zeros(FRAME, dtype=self._dtype)))[:FRAME]
            frames = self._compute(1)
        self.reset()
        return frames

    def _compute(self, count: int) -> Frames:
        """Features of the first `count` frames of the buffer, which loses `count` hops."""
        if count == 0:
            return np.zeros((0, SIZE), dtype=self._dtype)
        strided = np.lib.stride_tricks.sliding_window_view(self._buffer, FRAME)[: count * HOP : HOP]
        spectrum = np.fft.rfft(strided * self._window, NFFT)
        power = (spectrum.real**2 + spectrum.imag**2) / self._dtype(NFFT)
        energies = power.astype(self._dtype, copy=False) @ self._filters
        out = np.empty((count, SIZE), dtype=self._dtype)
        out[:, :MFCC] = np.log(_positive(energies[:, :FILTERS])) @ self._cepstrum
        out[:, LOG_ENERGY] = np.log(_positive(power.sum(axis=1)))
        chroma = energies[:, FILTERS:]
        peak = chroma.max(axis=1, keepdims=True)
        out[:, MFCC:] = chroma / np.where(peak > np.finfo(self._dtype).tiny, peak, 1)
        self._buffer = self._buffer[count * HOP :]
        return out


def _positive(energy: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Zero energy has no logarithm: the smallest float64 step stands for it, as in python_speech_features."""
    return np.where(energy == 0, np.finfo(np.float64).eps, energy)


def compute_features(samples: Samples) -> Frames:
    """Features of a whole utterance at once, shape (frames, 46)."""
    features = Features()
    return np.concatenate((features.push(samples), features.flush()))
