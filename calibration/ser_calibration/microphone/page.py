"""Make the page about a microphone: its figures, and plots of levels, spectra and the gate's decisions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from ser_calibration.microphone.assessment import Grade, figures, grade, recommendations
from ser_calibration.microphone.measurement import Measurement, frame_levels
from ser_calibration.microphone.recording import Recordings
from ser_calibration.microphone.spectrum import CENTRES, band_levels
from ser_calibration.microphone.speech_segments import SpeechSegments, find_segments
from ser_daemon.config.profiles import MicrophoneProfile
from ser_model.atomic_file import replace_file
from ser_model.errors import SerError
from ser_model.html.page import bullets, figure, paragraph, render_page, table
from ser_model.html.svg import Axis, Plot
from ser_model.types import SAMPLE_RATE, Samples

# Colours for colour-blind readers, too (Okabe and Ito, "Color Universal Design").
_SILENCE, _SPEECH, _OPEN, _WAVE = "#0072b2", "#d55e00", "#009e73", "var(--soft)"

_COLUMNS = 500


def microphone_page(profile: MicrophoneProfile, measured: Measurement, recordings: Recordings) -> str:
    """Return the page; audio can't be recovered from it.

    Args:
        profile: the written profile.
        measured: what `measure` found in the recordings.
        recordings: the recordings.
    """
    silence, speech, timing = recordings.silence, recordings.speech, recordings.timing
    found = recommendations(measured, timing)
    segments = [
        find_segments(
            samples,
            noise_floor_dbfs=measured.noise_floor_dbfs,
            gain_db=measured.gain_db,
            noise_margin_db=measured.noise_margin_db,
        )
        for samples in (silence, speech)
    ]
    result = grade(found)
    parts = [
        paragraph(result, "verdict bad" if result is Grade.INSUFFICIENT else "verdict"),
        bullets([item.text for item in found]),
        table(figures(measured, timing)),
        _levels(measured, silence, speech),
        _spectra(silence, speech, segments[1]),
        _gate("The gate during silence", silence, segments[0], measured),
        _gate("The gate during speech", speech, segments[1], measured),
        paragraph(
            f"Measured {profile.measured} by ser-calibrate mic. The page holds pictures of the sound, and no sound.",
            "small",
        ),
    ]
    return render_page(f"Microphone {profile.device}", parts)


def write_page(path: Path, text: str) -> None:
    """Write a page in one step.

    Raises:
        SerError: it can't be written.
    """
    try:
        replace_file(path, text)
    except OSError as error:
        raise SerError(
            f"{path}: cannot write this page: {error.strerror}; make room, or allow it, and repeat."
        ) from None


def _levels(measured: Measurement, silence: Samples, speech: Samples) -> str:
    edges = np.arange(-96.0, 1.0, 2.0)
    counts = [np.histogram(_plotted_levels(samples), edges)[0] for samples in (silence, speech)]
    percent = [100.0 * one / max(int(one.sum()), 1) for one in counts]
    top = 20.0 * np.ceil(max(float(values.max()) for values in percent) / 20.0)
    plot = Plot(
        "Histogram of levels in silence and in speech",
        Axis(low=-96, high=0, ticks=range(-90, 1, 10), label="level of 32 ms in dBFS"),
        Axis(low=0, high=top, ticks=np.linspace(0, top, 5).tolist(), label="share of the time, %"),
    )
    for values, colour, name in zip(percent, (_SILENCE, _SPEECH), ("silence", "speech recording"), strict=True):
        plot.bars(edges.tolist(), values.tolist(), colour, name)
    plot.mark_x(measured.noise_floor_dbfs + measured.noise_margin_db, "the gate listens from here", left=True)
    plot.mark_x(measured.speech_level_dbfs, "speech level")
    return figure(
        "How loud it is",
        image=plot.svg(),
        caption="How often which level occurs. The two heaps should stand well apart: what the speech recording has on "
        "the left is the pauses between the words. Its right end should stay clear of 0 dBFS, where sound is cut off.",
    )


def _spectra(silence: Samples, speech: Samples, found: SpeechSegments) -> str:
    spoken = np.concatenate([speech[start:end] for start, end in found.utterances]) if found.utterances else speech
    room, voice = band_levels(silence), band_levels(spoken)
    low = 10.0 * np.floor(max(min(room.min(), voice.min()), -115.0) / 10.0)
    high = 10.0 * np.ceil((max(room.max(), voice.max()) + 1.0) / 10.0)
    plot = Plot(
        "Spectra of the room and of the voice",
        Axis(low=50, high=7000, ticks=(50, 100, 200, 500, 1000, 2000, 5000), label="frequency in Hz", logarithmic=True),
        Axis(low=low, high=high, ticks=np.arange(low, high + 1, 10).tolist(), label="dBFS per third octave"),
    )
    plot.line(CENTRES, room, _SILENCE, "silence")
    plot.line(CENTRES, voice, _SPEECH, "speech")
    return figure(
        "What it sounds like",
        image=plot.svg(),
        caption="Level in each third octave. Between 200 and 4000 Hz speech should stand 10 dB or more above the room. "
        "A peak of the room at 50 or 60 Hz and its multiples is mains hum; much below 150 Hz is fans, traffic or a "
        "table that shakes; a fall of the voice at 3.4 kHz is a telephone's or a Bluetooth headset's.",
    )


def _gate(title: str, samples: Samples, found: SpeechSegments, measured: Measurement) -> str:
    """Return the plot of a waveform and its utterances; its scale follows the peak, so that soft sounds are visible."""
    seconds = len(samples) / SAMPLE_RATE
    step = next(step for step in (1, 2, 5, 10, 30, 60, 600, 1e9) if seconds / step <= 10)
    peak = _round_up(float(np.abs(samples.astype(np.int32)).max(initial=0)) / 32768.0)
    plot = Plot(
        f"{title}: waveform and decisions",
        Axis(low=0, high=seconds, ticks=np.arange(0, seconds + 1e-9, step).tolist(), label="seconds"),
        Axis(low=-peak, high=peak, ticks=(-peak, 0, peak), label="of full scale"),
        height=210,
    )
    for start, end in found.utterances:
        plot.band(start / SAMPLE_RATE, end / SAMPLE_RATE, _OPEN, "the gate takes this for speech")
    xs, lows, highs = _envelope(samples)
    plot.envelope(xs, lows, highs, _WAVE)
    count = len(found.utterances)
    result = f"{count} utterance{'s' * (count != 1)}, {found.voiced_seconds:.1f} s of speech" if count else "no speech"
    return figure(
        title,
        image=plot.svg(),
        caption=f"The sound over time, with the values of this profile: {result}. "
        f"The gate listens to what is above {measured.noise_floor_dbfs + measured.noise_margin_db:.0f} dBFS.",
    )


def _envelope(samples: Samples) -> tuple[list[float], list[float], list[float]]:
    """Return for each column its time in seconds, and its lowest and highest sample as shares of full scale."""
    edges = np.linspace(0, len(samples), min(_COLUMNS, len(samples)) + 1).astype(int)
    lows = np.minimum.reduceat(samples, edges[:-1]) / 32768.0
    highs = np.maximum.reduceat(samples, edges[:-1]) / 32768.0
    return (edges[:-1] / SAMPLE_RATE).tolist(), lows.tolist(), highs.tolist()


def _round_up(peak: float) -> float:
    """Return the next higher 1, 2 or 5 times a power of ten, 0.0001 to 1."""
    steps = [factor * 10.0**power for power in range(-4, 1) for factor in (1, 2, 5)]
    return next((step for step in steps if peak <= step <= 1.0), 1.0)


def _plotted_levels(samples: Samples) -> npt.NDArray[np.float64]:
    return np.clip(frame_levels(samples), -96.0, 0.0)
