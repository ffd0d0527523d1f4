"""Measure a microphone from two recordings: the room in silence, and somebody speaking."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ser_calibration.microphone.defects import Holes, clipped_share, find_holes, full_scale_share, longest_flat
from ser_calibration.microphone.segmentation import Heard, choose_margin, hear, pairs
from ser_calibration.microphone.spectrum import band_level, low_share
from ser_model.audio.levels import SILENCE_DBFS, DetectorGain, dbfs
from ser_model.errors import SerError
from ser_model.types import SAMPLE_RATE, Samples

FRAME = 512
"""Samples behind one level, 32 ms: the gate's own frame with its default detector."""

MIN_SILENCE_SECONDS = 2.0
"""Shorter than this, a passing noise can't be told from the room."""

MIN_VOICED_SECONDS = 1.0
"""Less speech than this says little about its level."""

_SLOT_FRAMES = 16
_CLIPPED_SHARE = 0.002
_SPEECH_IN_SILENCE_SECONDS = 0.3
_MARGIN_DB = 6.0
_STANDS_OUT_DB = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What two recordings say about a microphone in its room."""

    noise_floor_dbfs: float
    """Level of the room: median of the lowest levels of half seconds."""
    speech_level_dbfs: float
    """Mean power of speech without its pauses (as ITU-T P.56, with the gate deciding what is speech)."""
    snr_db: float
    """Speech level above the noise floor."""
    gain_db: float
    """Gain that the gate's detector needs for this voice in this room."""
    noise_margin_db: float
    """How far above the noise floor a sound must be for the gate to take it for speech."""
    peak_dbfs: float
    """Highest sample of the speech."""
    clipped_share: float
    """Share of the speech's samples that lie on a flat top, 0 to 1."""
    longest_flat: int
    """Samples of the longest flat top."""
    full_scale_share: float
    """Share of the speech's samples that have the highest or lowest value there is, 0 to 1."""
    dc_offset: float
    """Mean of the silence as a share of full scale, -1 to 1."""
    pause_dbfs: float
    """Lowest level between the words."""
    holes: Holes
    """Zeros within sound, in both recordings."""
    low_share: float
    """Share of the room's power below 150 Hz, 0 to 1."""
    treble_db: float
    """Level of the speech from 4.5 to 7 kHz, against that from 300 Hz to 3.4 kHz."""


def measure(silence: Samples, speech: Samples) -> Measurement:
    """Measure a microphone.

    Args:
        silence: The room while nobody speaks, int16, shape (n,), 16 kHz, at least 2 s.
        speech: Somebody speaking at the usual place, at least 1 s of it voiced.

    Raises:
        SerError: A recording can't be used; the text says why and what to record instead.
    """
    _refuse_swapped(silence, speech)
    floor = noise_floor(silence)
    heard = hear(speech, noise_floor_dbfs=floor)
    _check_speech(speech, heard, floor)
    spoken = np.concatenate([speech[start:end] for start, end in heard.spans])
    clipped = clipped_share(spoken)
    if clipped > _CLIPPED_SHARE:
        raise SerError(
            f"The speech recording is clipped ({clipped:.1%} of its samples are cut off): "
            "lower the microphone's gain in the mixer and record again."
        )
    level = _active_level(spoken, floor)
    gain = _detector_gain(level, floor)
    in_silence, in_speech = find_holes(silence), find_holes(speech)
    return Measurement(
        noise_floor_dbfs=floor,
        speech_level_dbfs=level,
        snr_db=max(level - floor, 0.0),
        gain_db=gain,
        noise_margin_db=choose_margin(frame_levels(silence), speech, floor, gain),
        peak_dbfs=_peak_dbfs(spoken),
        clipped_share=clipped,
        longest_flat=longest_flat(spoken),
        full_scale_share=full_scale_share(spoken),
        dc_offset=float(np.mean(silence)) / 32768.0,
        pause_dbfs=float(np.min(pairs(frame_levels(speech)))),
        holes=Holes(in_silence.count + in_speech.count, max(in_silence.longest_ms, in_speech.longest_ms)),
        low_share=low_share(silence),
        treble_db=band_level(spoken, 4500, 7000) - band_level(spoken, 300, 3400),
    )


def frame_levels(samples: Samples) -> npt.NDArray[np.float64]:
    """Return the level in dBFS of every whole frame of 32 ms, shape (n // 512,)."""
    whole = samples[: len(samples) - len(samples) % FRAME].astype(np.float32) / 32768.0
    return np.array([dbfs(frame) for frame in whole.reshape(-1, FRAME)])


def noise_floor(silence: Samples) -> float:
    """Check the silence and return its level in dBFS.

    The lowest level of each half second (minimum statistics, as the gate tracks it), and of those the median:
    a chair or a cough lifts some of them, a device that starts with zeros lowers some.

    Raises:
        SerError: It is too short, holds nothing but zeros, is clipped, or somebody speaks in it.
    """
    seconds = len(silence) / SAMPLE_RATE
    if seconds < MIN_SILENCE_SECONDS:
        raise SerError(
            f"The silence recording lasts {seconds:.1f} s, expected at least {MIN_SILENCE_SECONDS:g} s: "
            "record the room for ten seconds while nobody speaks."
        )
    if not silence.any():
        raise SerError(
            "The silence recording holds nothing but zeros: unmute the microphone, or switch its noise suppression off."
        )
    clipped = full_scale_share(silence)
    if clipped > _CLIPPED_SHARE:
        raise SerError(
            f"The silence recording is clipped ({clipped:.1%} of its samples are cut off): "
            "lower the microphone's gain in the mixer, or check its cable, and record again."
        )
    heard = hear(silence)
    if heard.voiced_seconds > _SPEECH_IN_SILENCE_SECONDS:
        raise SerError(
            f"Somebody speaks in the silence recording (at {heard.spans[0][0] / SAMPLE_RATE:.1f} s): "
            "record the room while nobody speaks, without radio or television."
        )
    means = pairs(frame_levels(silence))
    slots = means[: len(means) - len(means) % _SLOT_FRAMES].reshape(-1, _SLOT_FRAMES).min(axis=1)
    return max(float(np.median(slots)), SILENCE_DBFS)


def _refuse_swapped(silence: Samples, speech: Samples) -> None:
    if hear(silence).voiced_seconds >= MIN_VOICED_SECONDS and hear(speech).voiced_seconds < _SPEECH_IN_SILENCE_SECONDS:
        raise SerError(
            "The two recordings are swapped: somebody speaks in the first, which is to be the silence, and nobody in "
            "the second; give the silence first."
        )


def _check_speech(speech: Samples, heard: Heard, floor: float) -> None:
    """Refuse what holds too little speech, with the likeliest reason."""
    if heard.voiced_seconds >= MIN_VOICED_SECONDS:
        return
    said = (
        f"The speech recording holds {heard.voiced_seconds:.1f} s of speech, expected at least {MIN_VOICED_SECONDS:g} s"
    )
    if not speech.any():
        raise SerError(f"{said}; it is nothing but zeros: unmute the microphone in the mixer or at its switch.")
    if float(np.quantile(pairs(frame_levels(speech)), 0.99)) < floor + _STANDS_OUT_DB:
        raise SerError(
            f"{said}; nothing in it stands out from the room ({floor:.0f} dBFS): say a sentence or two, and if you "
            "did, choose another microphone (ser-daemon --list-devices) or raise its gain in the mixer."
        )
    raise SerError(f"{said}: say a sentence or two at the place where you usually speak.")


def _active_level(spoken: Samples, floor: float) -> float:
    """Return the mean power of the frames that stand above the noise floor."""
    levels = frame_levels(spoken)
    active = levels[levels > floor + _MARGIN_DB]
    if not len(active):
        raise SerError(
            f"The speech is not {_MARGIN_DB:g} dB louder than the silence ({floor:.0f} dBFS): "
            "were the two recordings swapped, or made with different gain?"
        )
    return 10.0 * math.log10(float(np.mean(10.0 ** (active / 10.0))))


def _detector_gain(level_dbfs: float, floor_dbfs: float) -> float:
    """Return the gain to which the gate itself comes when it hears speech of this level."""
    # One frame of a minute: as long as it takes to settle, wherever it starts and however slowly it moves.
    gain = DetectorGain(60.0)
    gain.push(level_dbfs, floor_dbfs)
    return gain.db


def _peak_dbfs(samples: Samples) -> float:
    peak = int(np.abs(samples.astype(np.int32)).max(initial=0))
    return max(20.0 * math.log10(peak / 32768.0), SILENCE_DBFS) if peak else SILENCE_DBFS
