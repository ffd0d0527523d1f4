"""Feature extraction as samples arrive: 46 cepstral and prosodic features per frame at 16 kHz."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ser_model.features import prosody
from ser_model.features.prosody import Prosody
from ser_model.types import SAMPLE_RATE, Frames, Samples

FRAME: Final = 1365
"""Samples in a frame: 85 ms, as the 4096 samples at 48 kHz of arXiv 2606.03359."""
HOP: Final = 683
"""Samples from one frame to the next: 43 ms."""
NFFT: Final = 2048
FILTERS: Final = 40
MFCC: Final = 13
LOG_ENERGY: Final = 0
"""Column of the log energy, the only one that depends on the level of the sound."""
PRE_EMPHASIS: Final = 0.97
LIFTER: Final = 22

COLUMNS: Final = (
    "log-energy",
    *(f"mfcc{order}-relative" for order in range(1, MFCC)),
    *(f"mfcc{order}-delta" for order in range(MFCC)),
    *prosody.COLUMNS,
)
"""Names of the features. *relative* means minus the mean over the utterance so far."""
SIZE: Final = len(COLUMNS)

RECIPE: Final[dict[str, Any]] = {
    "sample_rate": SAMPLE_RATE,
    "frame": FRAME,
    "hop": HOP,
    "nfft": NFFT,
    "window": "hamming",
    "pre_emphasis": PRE_EMPHASIS,
    "mel_filters": FILTERS,
    "lifter": LIFTER,
    "columns": list(COLUMNS),
}
"""Settings of the extraction. A model file holds those that it was trained with."""

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
    """Orthonormal DCT-II of the log filter energies, liftered (HTK book, section 5.6), shape (13, 40)."""
    order = np.arange(MFCC)[:, None]
    dct = np.cos(np.pi * order * (2 * np.arange(FILTERS) + 1) / (2 * FILTERS)) * np.sqrt(2 / FILTERS)
    dct[0] /= np.sqrt(2)
    return np.asarray(dct * (1 + LIFTER / 2 * np.sin(np.pi * order / LIFTER)))


class Features:
    """Converts the samples of one utterance to feature vectors, in pieces of any size.

    The MFCC equal `python_speech_features.mfcc` over the whole utterance (frame 1365, hop 683, Hamming window):
    pre-emphasis continues across pieces, and `flush` returns the last frame, padded with zeros.
    """

    def __init__(self, dtype: type[np.floating[Any]] = np.float32) -> None:
        self._dtype = dtype
        window = np.hamming(FRAME)
        self._window = window.astype(dtype)
        self._filters = mel_filters().T.astype(dtype)
        self._cepstrum = cepstrum_matrix().T.astype(dtype)
        self._prosody = Prosody(NFFT, window, PRE_EMPHASIS)
        self.reset()

    def reset(self) -> None:
        """Start another utterance."""
        self._emphasised = np.zeros(0, dtype=self._dtype)
        self._raw = np.zeros(0, dtype=np.int16)
        self._last: np.floating[Any] | None = None
        self._mfcc: _Matrix | None = None
        self._sum = np.zeros(MFCC)
        self._count = 0
        self._prosody.reset()

    def push(self, samples: Samples) -> Frames:
        """Process samples, int16, shape (n,); return the frames that they complete, shape (frames, 46)."""
        if len(samples) == 0:
            return self._compute(0)
        signal = samples.astype(self._dtype)
        previous = np.empty_like(signal)
        previous[0] = 0 if self._last is None else self._last
        previous[1:] = signal[:-1]
        self._last = signal[-1]
        emphasised = signal - self._dtype(PRE_EMPHASIS) * previous
        self._emphasised = np.concatenate((self._emphasised, emphasised))
        self._raw = np.concatenate((self._raw, samples))
        return self._compute(max(0, (len(self._raw) - FRAME) // HOP + 1))

    def flush(self) -> Frames:
        """Return the frame of the remaining samples, if any, shape (0 or 1, 46), and reset."""
        frames = self._compute(0)
        covered = FRAME - HOP if self._count else 0
        if len(self._raw) > covered:
            self._emphasised = np.concatenate((self._emphasised, np.zeros(FRAME, dtype=self._dtype)))[:FRAME]
            self._raw = np.concatenate((self._raw, np.zeros(FRAME, dtype=np.int16)))[:FRAME]
            frames = self._compute(1)
        self.reset()
        return frames

    def _compute(self, count: int) -> Frames:
        """Features of the first `count` frames of the buffers; removes `count` hops."""
        if count == 0:
            return np.zeros((0, SIZE), dtype=self._dtype)
        spectrum = np.fft.rfft(_frames(self._emphasised, count) * self._window, NFFT)
        power = (spectrum.real**2 + spectrum.imag**2) / self._dtype(NFFT)
        mel = np.log(_positive(power.astype(self._dtype, copy=False) @ self._filters))
        energy = np.log(_positive(power.sum(axis=1)))
        relative, delta = self._relative_and_delta(mel @ self._cepstrum)
        prosodic = self._prosody.compute(power, mel, energy, _frames(self._raw, count))
        self._emphasised, self._raw = self._emphasised[count * HOP :], self._raw[count * HOP :]
        return np.concatenate((energy[:, None], relative[:, 1:], delta, prosodic), axis=1).astype(self._dtype)

    def _relative_and_delta(self, mfcc: _Matrix) -> tuple[_Matrix, _Matrix]:
        """MFCC minus their mean over the utterance so far, and minus those of the previous frame."""
        total = self._sum + np.cumsum(mfcc, axis=0, dtype=np.float64)
        mean = total / (self._count + np.arange(1, len(mfcc) + 1))[:, None]
        delta = prosody.changes(mfcc, self._mfcc)
        self._mfcc, self._sum, self._count = mfcc[-1], total[-1], self._count + len(mfcc)
        return mfcc - mean, delta


def _frames(buffer: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
    """The first `count` frames of a buffer, a view of shape (count, 1365)."""
    step = buffer.strides[0]
    # A tenth of the time that `sliding_window_view` takes to do the same.
    return np.ndarray((count, FRAME), buffer.dtype, buffer, strides=(HOP * step, step))


def _positive(energy: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Replace zero energy, which has no logarithm, with the float64 epsilon, as python_speech_features does."""
    return np.where(energy == 0, np.finfo(np.float64).eps, energy)


def compute_features(samples: Samples) -> Frames:
    """Features of a whole utterance, shape (frames, 46).

    Examples:
        >>> compute_features(np.zeros(16_000, dtype=np.int16)).shape
        (23, 46)
    """
    features = Features()
    return np.concatenate((features.push(samples), features.flush()))
