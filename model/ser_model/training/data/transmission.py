"""What a transmission does to a sound: the narrow band of a telephone or a headset, and lossy codecs."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from ser_model.types import SAMPLE_RATE

Wave = npt.NDArray[np.float32]

NARROW_RATE: Final = 8_000
TELEPHONE_BAND: Final = (300.0, 3_400.0)
"""Pass band of a narrow-band call in Hz (ITU-T G.712)."""
TELEPHONE_ORDER: Final = 6
"""Order of the Butterworth filter at either end of the band."""

OPUS_COMPRESSION: Final = (0.8, 0.98)
"""Range of libsndfile's compression level for Opus: from about 45 to 9 kbit/s for one channel."""

Transmission = Literal["opus", "telephone", "gsm", "headset"]


def transmit(wave: Wave, way: Transmission, rng: np.random.Generator) -> Wave:
    """Send a 16 kHz sound over a channel; the result has the same length.

    Args:
        wave: full scale at ±1.
        way: `opus` (RFC 6716, full band), `telephone` (G.712 band, G.711 μ-law), `gsm` (telephone band, GSM 06.10), or
            `headset` (8 kHz, as Bluetooth's hands-free profile without wide-band speech).
        rng: draws the bit rate of Opus.
    """
    return _WAYS[way](wave, rng)


def band_limit(wave: Wave, band: tuple[float, float] | None = None) -> Wave:
    """Resample a 16 kHz sound to 8 kHz and back; in between pass only a band, given in Hz."""
    import soxr
    from scipy.signal import butter, sosfilt

    narrow = soxr.resample(wave, SAMPLE_RATE, NARROW_RATE)
    if band is not None:
        sections = butter(TELEPHONE_ORDER, band, "bandpass", fs=NARROW_RATE, output="sos")
        narrow = sosfilt(sections, narrow).astype(np.float32)
    return _same_length(soxr.resample(narrow, NARROW_RATE, SAMPLE_RATE), len(wave))


def simulate_telephone(wave: Wave) -> Wave:
    """Apply the band of a narrow-band call to 16 kHz sound: resample to 8 kHz, band-pass, and resample to 16 kHz."""
    return band_limit(wave, TELEPHONE_BAND)


def _opus(wave: Wave, rng: np.random.Generator) -> Wave:
    level = float(rng.uniform(*OPUS_COMPRESSION))
    return _through_file(wave, SAMPLE_RATE, "OGG", "OPUS", level)


def _telephone(wave: Wave, rng: np.random.Generator) -> Wave:
    return _through_file(simulate_telephone(wave), SAMPLE_RATE, "WAV", "ULAW")


def _gsm(wave: Wave, rng: np.random.Generator) -> Wave:
    import soxr

    narrow = soxr.resample(simulate_telephone(wave), SAMPLE_RATE, NARROW_RATE)
    coded = _through_file(narrow, NARROW_RATE, "WAV", "GSM610")
    return _same_length(soxr.resample(coded, NARROW_RATE, SAMPLE_RATE), len(wave))


def _headset(wave: Wave, rng: np.random.Generator) -> Wave:
    return band_limit(wave)


def _through_file(wave: Wave, rate: int, container: str, codec: str, compression: float | None = None) -> Wave:
    """Encode and decode a sound in memory."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(wave, -1, 1), rate, subtype=codec, format=container, compression_level=compression)
    buffer.seek(0)
    decoded, _ = soundfile.read(buffer, dtype="float32")
    return _same_length(decoded, len(wave))


def _same_length(wave: npt.NDArray[np.float32], length: int) -> Wave:
    return np.pad(wave[:length], (0, max(0, length - len(wave)))).astype(np.float32)


_WAYS: Final[dict[Transmission, Callable[[Wave, np.random.Generator], Wave]]] = {
    "opus": _opus,
    "telephone": _telephone,
    "gsm": _gsm,
    "headset": _headset,
}
