"""Measure a microphone from two recordings: the room in silence, and somebody speaking."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ser_calibration.microphone.defects import (
    Dropouts,
    clipped_share,
    find_dropouts,
    full_scale_share,
    longest_flat_top,
)
from ser_calibration.microphone.spectrum import band_level, low_share
from ser_calibration.microphone.speech_segments import SpeechSegments, choose_noise_margin, find_segments, pair_means
from ser_model.audio.levels import SILENCE_DBFS, DetectorGain, dbfs
from ser_model.errors import SerError
from ser_model.types import SAMPLE_RATE, Samples

FRAME = 512
"""Samples per level, 32 ms: the frame of the gate's default detector."""

MIN_SILENCE_SECONDS = 2.0
"""In a shorter recording, a passing noise can't be distinguished from the room."""

MIN_VOICED_SECONDS = 1.0
"""Less speech gives no reliable level."""

_SLOT_FRAMES = 16
_CLIPPED_SHARE = 0.002
_SPEECH_IN_SILENCE_SECONDS = 0.3
_ACTIVE_MARGIN_DB = 6.0
_STANDS_OUT_DB = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A microphone in its room, as measured from two recordings."""

    noise_floor_dbfs: float
    """Level of the room: the median over half seconds of their lowest level."""
    speech_level_dbfs: float
    """Mean power of speech without its pauses (active speech level as in ITU-T P.56, with the gate's decisions)."""
    snr_db: float
    """Speech level above the noise floor."""
    gain_db: float
    """Gain of the gate's detector for this voice in this room."""
    noise_margin_db: float
    """How far above the noise floor a sound must be for the gate to open."""
    peak_dbfs: float
    """Highest sample of the speech."""
    clipped_share: float
    """Share of the speech's samples on flat tops, 0 to 1."""
    longest_flat_top: int
    """Length of the longest flat top in samples."""
    full_scale_share: float
    """Share of the speech's samples at full scale, 0 to 1."""
    dc_offset: float
    """Mean of the silence as a share of full scale, -1 to 1."""
    pause_dbfs: float
    """Lowest level between the words."""
    dropouts: Dropouts
    """Of both recordings."""
    low_share: float
    """Share of the room's power below 150 Hz, 0 to 1."""
    treble_db: float
    """Level of the speech from 4.5 to 7 kHz relative to that from 300 Hz to 3.4 kHz."""


def measure(silence: Samples, speech: Samples) -> Measurement:
    """Measure a microphone.

    Args:
        silence: the room while nobody speaks, int16, shape (n,), 16 kHz, at least 2 s.
        speech: somebody speaking at the usual place, at least 1 s of it voiced.

    Raises:
        SerError: a recording can't be used; the text says why and what to record instead.
    """
    _reject_swapped(silence, speech)
    floor = noise_floor(silence)
    found = find_segments(speech, noise_floor_dbfs=floor)
    _check_speech(speech, found, floor)
    spoken = np.concatenate([speech[start:end] for start, end in found.utterances])
    clipped = clipped_share(spoken)
    if clipped > _CLIPPED_SHARE:
        raise SerError(
            f"The speech recording is clipped ({clipped:.1%} of its samples are cut off): "
            "lower the microphone's gain in the mixer and record again."
        )
    level = _active_level(spoken, floor)
    gain = _detector_gain(level, floor)
    in_silence, in_speech = find_dropouts(silence), find_dropouts(speech)
    return Measurement(
        noise_floor_dbfs=floor,
        speech_level_dbfs=level,
        snr_db=max(level - floor, 0.0),
        gain_db=gain,
        noise_margin_db=choose_noise_margin(frame_levels(silence), speech, floor, gain),
        peak_dbfs=_peak_dbfs(spoken),
        clipped_share=clipped,
        longest_flat_top=longest_flat_top(spoken),
        full_scale_share=full_scale_share(spoken),
        dc_offset=float(np.mean(silence)) / 32768.0,
        pause_dbfs=float(np.min(pair_means(frame_levels(speech)))),
        dropouts=Dropouts(in_silence.count + in_speech.count, max(in_silence.longest_ms, in_speech.longest_ms)),
        low_share=low_share(silence),
        treble_db=band_level(spoken, 4500, 7000) - band_level(spoken, 300, 3400),
    )


def frame_levels(samples: Samples) -> npt.NDArray[np.float64]:
    """Return the level in dBFS of every whole frame of 32 ms, shape (n // 512,)."""
    whole = samples[: len(samples) - len(samples) % FRAME].astype(np.float32) / 32768.0
    return np.array([dbfs(frame) for frame in whole.reshape(-1, FRAME)])


def noise_floor(silence: Samples) -> float:
    """Check the silence and return its level in dBFS.

    It is the median over half seconds of their lowest level (minimum statistics, as in the gate). The median ignores
    the half seconds that a cough raises, or that a device that starts with zeros lowers.

    Raises:
        SerError: it is too short, holds nothing but zeros, is clipped, or holds speech.
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
    found = find_segments(silence)
    if found.voiced_seconds > _SPEECH_IN_SILENCE_SECONDS:
        raise SerError(
            f"Somebody speaks in the silence recording (at {found.utterances[0][0] / SAMPLE_RATE:.1f} s): "
            "record the room while nobody speaks, without radio or television."
        )
    means = pair_means(frame_levels(silence))
    slots = means[: len(means) - len(means) % _SLOT_FRAMES].reshape(-1, _SLOT_FRAMES).min(axis=1)
    return max(float(np.median(slots)), SILENCE_DBFS)


def _reject_swapped(silence: Samples, speech: Samples) -> None:
    in_silence, in_speech = find_segments(silence).voiced_seconds, find_segments(speech).voiced_seconds
    if in_silence >= MIN_VOICED_SECONDS and in_speech < _SPEECH_IN_SILENCE_SECONDS:
        raise SerError(
            "The two recordings are swapped: somebody speaks in the first, which is to be the silence, and nobody in "
            "the second; give the silence first."
        )


def _check_speech(speech: Samples, found: SpeechSegments, floor: float) -> None:
    """Reject a recording with too little speech; the error names the likeliest reason."""
    if found.voiced_seconds >= MIN_VOICED_SECONDS:
        return
    problem = (
        f"The speech recording holds {found.voiced_seconds:.1f} s of speech, expected at least {MIN_VOICED_SECONDS:g} s"
    )
    if not speech.any():
        raise SerError(f"{problem}; it is nothing but zeros: unmute the microphone in the mixer or at its switch.")
    if float(np.quantile(pair_means(frame_levels(speech)), 0.99)) < floor + _STANDS_OUT_DB:
        raise SerError(
            f"{problem}; nothing in it stands out from the room ({floor:.0f} dBFS): say a sentence or two, and if you "
            "did, choose another microphone (ser-daemon --list-devices) or raise its gain in the mixer."
        )
    raise SerError(f"{problem}: say a sentence or two at the place where you usually speak.")


def _active_level(spoken: Samples, floor: float) -> float:
    """Return the mean power in dBFS of the frames that stand above the noise floor."""
    levels = frame_levels(spoken)
    active = levels[levels > floor + _ACTIVE_MARGIN_DB]
    if not len(active):
        raise SerError(
            f"The speech is not {_ACTIVE_MARGIN_DB:g} dB louder than the silence ({floor:.0f} dBFS): "
            "were the two recordings swapped, or made with different gain?"
        )
    return 10.0 * math.log10(float(np.mean(10.0 ** (active / 10.0))))


def _detector_gain(level_dbfs: float, floor_dbfs: float) -> float:
    """Return the gain at which the gate settles for speech of this level."""
    # One frame of a minute is long enough to settle from any start.
    gain = DetectorGain(60.0)
    gain.push(level_dbfs, floor_dbfs)
    return gain.db


def _peak_dbfs(samples: Samples) -> float:
    peak = int(np.abs(samples.astype(np.int32)).max(initial=0))
    return max(20.0 * math.log10(peak / 32768.0), SILENCE_DBFS) if peak else SILENCE_DBFS
