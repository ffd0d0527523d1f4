"""Measure a microphone from two recordings: the room in silence, and somebody speaking."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ser_model.config import GateConfig
from ser_model.errors import SerError
from ser_model.gate import Gate
from ser_model.levels import SILENCE_DBFS, DetectorGain, dbfs
from ser_model.types import SAMPLE_RATE, Block, Samples, SpeechEnded, SpeechStarted

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
    peak_dbfs: float
    """Highest sample of the speech."""
    clipped_share: float
    """Share of the speech's samples that lie on a flat top, 0 to 1."""
    dc_offset: float
    """Mean of the silence as a share of full scale, -1 to 1."""
    pause_dbfs: float
    """Lowest level between the words."""


def measure(silence: Samples, speech: Samples) -> Measurement:
    """Measure a microphone.

    Args:
        silence: The room while nobody speaks, int16, shape (n,), 16 kHz, at least 2 s.
        speech: Somebody speaking at the usual place, at least 1 s of it voiced.

    Raises:
        SerError: A recording can't be used; the text says why and what to record instead.
    """
    floor = _noise_floor(silence)
    spans, voiced = _utterances(speech, floor)
    if voiced < MIN_VOICED_SECONDS:
        raise SerError(
            f"The speech recording holds {voiced:.1f} s of speech, expected at least "
            f"{MIN_VOICED_SECONDS:g} s: say a sentence or two at the place where you usually speak."
        )
    spoken = np.concatenate([speech[start:end] for start, end in spans])
    clipped = clipped_share(spoken)
    if clipped > _CLIPPED_SHARE:
        raise SerError(
            f"The speech recording is clipped ({clipped:.1%} of its samples are cut off): "
            "lower the microphone's gain in the mixer and record again."
        )
    level = _active_level(spoken, floor)
    return Measurement(
        noise_floor_dbfs=floor,
        speech_level_dbfs=level,
        snr_db=max(level - floor, 0.0),
        gain_db=_detector_gain(level, floor),
        peak_dbfs=_peak_dbfs(spoken),
        clipped_share=clipped,
        dc_offset=float(np.mean(silence)) / 32768.0,
        pause_dbfs=float(np.min(_pairs(frame_levels(speech)))),
    )


def frame_levels(samples: Samples) -> npt.NDArray[np.float64]:
    """Return the level in dBFS of every whole frame of 32 ms, shape (n // 512,)."""
    whole = samples[: len(samples) - len(samples) % FRAME].astype(np.float32) / 32768.0
    return np.array([dbfs(frame) for frame in whole.reshape(-1, FRAME)])


def clipped_share(samples: Samples) -> float:
    """Return the share of samples on flat tops: three or more in a row within 1 % of the recording's peak.

    Relative to the peak, since an amplifier before the converter clips below full scale, too. The few highest
    waves of a sound recording touch that band for a sample or three; a clipped one does so all the time.
    """
    magnitude = np.abs(samples.astype(np.int32))
    peak = int(magnitude.max(initial=0))
    # 1 % of a small number is less than one step of the converter.
    if peak < 1000:
        return 0.0
    top = np.concatenate(([False], magnitude >= 0.99 * peak, [False])).astype(np.int8)
    edges = np.flatnonzero(np.diff(top))
    runs = edges[1::2] - edges[::2]
    return float(runs[runs >= 3].sum()) / len(samples)


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


def _noise_floor(silence: Samples) -> float:
    """Check the silence and return its level.

    The lowest level of each half second (minimum statistics, as the gate tracks it), and of those the median:
    a chair or a cough lifts some of them, a device that starts with zeros lowers some.
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
    clipped = float(np.mean(np.abs(silence.astype(np.int32)) >= 32767))
    if clipped > _CLIPPED_SHARE:
        raise SerError(
            f"The silence recording is clipped ({clipped:.1%} of its samples are cut off): "
            "lower the microphone's gain in the mixer, or check its cable, and record again."
        )
    spans, voiced = _utterances(silence, None)
    if voiced > _SPEECH_IN_SILENCE_SECONDS:
        raise SerError(
            f"Somebody speaks in the silence recording (at {spans[0][0] / SAMPLE_RATE:.1f} s): "
            "record the room while nobody speaks, without radio or television."
        )
    pairs = _pairs(frame_levels(silence))
    slots = pairs[: len(pairs) - len(pairs) % _SLOT_FRAMES].reshape(-1, _SLOT_FRAMES).min(axis=1)
    return max(float(np.median(slots)), SILENCE_DBFS)


def _pairs(levels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the means of neighbours: one frame that happens to be quiet is not the room."""
    return (levels[1:] + levels[:-1]) / 2


def _utterances(samples: Samples, floor: float | None) -> tuple[list[tuple[int, int]], float]:
    """Return the (first sample, sample after the last) of each utterance, and the voiced seconds."""
    gate = Gate(GateConfig(noise_floor_dbfs=floor))
    spans: list[tuple[int, int]] = []
    onset, voiced = 0, 0
    for event in gate.push(Block(samples, 0)) + gate.finish():
        if isinstance(event, SpeechStarted):
            onset = event.onset
        elif isinstance(event, SpeechEnded):
            spans.append((onset, event.offset))
            voiced += event.voiced
    return spans, voiced / SAMPLE_RATE


def _detector_gain(level_dbfs: float, floor_dbfs: float) -> float:
    """Return the gain to which the gate itself comes when it hears speech of this level."""
    # One frame of a minute: as long as it takes to settle, wherever it starts and however slowly it moves.
    gain = DetectorGain(60.0)
    gain.push(level_dbfs, floor_dbfs)
    return gain.db


def _peak_dbfs(samples: Samples) -> float:
    peak = int(np.abs(samples.astype(np.int32)).max(initial=0))
    return max(20.0 * math.log10(peak / 32768.0), SILENCE_DBFS) if peak else SILENCE_DBFS
