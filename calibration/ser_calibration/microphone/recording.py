"""Record silence and speech from the microphone, in memory only, and guide whoever speaks."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ser_calibration.microphone.measurement import MIN_VOICED_SECONDS, noise_floor
from ser_calibration.microphone.recording_session import RecordingSession
from ser_calibration.microphone.timing import Timing
from ser_daemon.config.audio import AudioConfig
from ser_daemon.diagnostics.host_probes import Machine, mute_advice
from ser_daemon.sources import make_source
from ser_model.audio.gate import Gate
from ser_model.audio.levels import SILENCE_DBFS
from ser_model.errors import SerError
from ser_model.types import SAMPLE_RATE, Block, Samples, SpeechAudio, SpeechEnded

SILENCE_SECONDS = 10.0
"""Length of the silence that is asked for."""

SPEECH_SECONDS = 30.0
"""Longest wait for somebody to say something."""

UNATTENDED_SECONDS = 15.0
"""Length of the speech recording where nobody is guided."""

SENTENCES = (
    "The birch canoe slid on the smooth planks.",
    "Glue the sheet to the dark blue background.",
    "It's easy to tell the depth of a well.",
    "These days a chicken leg is a rare dish.",
)
"""To read aloud: the first of the phonetically balanced Harvard sentences (IEEE 297-1969, doi
10.1109/IEEESTD.1969.7405210)."""

_ENOUGH_VOICED_SECONDS = 4.0 * MIN_VOICED_SECONDS
_METER_DBFS = (-72.0, 0.0)
_METER_WIDTH = 20

Tell = Callable[[str, bool], None]
"""Shows a line: its text, and whether the next one may replace it."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was heard, and how it came."""

    device: str
    """Name of the device that was opened."""
    silence: Samples
    speech: Samples
    timing: Timing


def record(config: AudioConfig, tell: Tell, *, unattended: bool = False) -> Recorded:
    """Record from the microphone.

    Args:
        config: which microphone, and how it is read.
        tell: shows what to do and how it goes.
        unattended: fixed lengths; nobody is asked, and no key is waited for.

    Raises:
        SerError: The device can't be used, gives nothing or only zeros, or the silence is none.
    """
    source = make_source(config)
    if not source.live:
        raise SerError(f"{source.name} is no microphone: measure recordings with --from instead.")
    with RecordingSession(source) as capture:
        tell(f"Microphone: {source.name}", False)
        if not unattended:
            _wait_for_key(capture, tell)
        silence = _silence(capture, tell)
        # Said now, before somebody reads aloud in vain.
        noise_floor(silence)
        speech = _speech(capture, tell, None if unattended else _ENOUGH_VOICED_SECONDS)
        return Recorded(source.name, silence, speech, capture.timing())


def meter(level_dbfs: float) -> str:
    """Return a level as a bar and a number, for a terminal."""
    low, high = _METER_DBFS
    filled = round(min(max((level_dbfs - low) / (high - low), 0.0), 1.0) * _METER_WIDTH)
    return f"[{'#' * filled:<{_METER_WIDTH}}] {level_dbfs:4.0f} dBFS"


def _wait_for_key(capture: RecordingSession, tell: Tell) -> None:
    """Show the level until Enter is pressed, where there is a keyboard."""
    if not sys.stdin.isatty():
        return
    tell("Ten seconds of silence, then a few sentences: about a minute in all. Nothing is kept.", False)
    descriptor = sys.stdin.fileno()
    while not select.select([descriptor], [], [], 0)[0]:
        tell(f"{meter(level(capture.read().samples))}  Press Enter when the room is quiet.", True)
    os.read(descriptor, 4096)


def _silence(capture: RecordingSession, tell: Tell) -> Samples:
    tell(f"Be quiet for {SILENCE_SECONDS:.0f} seconds, please.", False)
    taken: list[Samples] = []
    heard = 0
    while heard < SILENCE_SECONDS * SAMPLE_RATE:
        samples = capture.read().samples
        taken.append(samples)
        heard += len(samples)
        left = max(0.0, SILENCE_SECONDS - heard / SAMPLE_RATE)
        tell(f"{meter(level(samples))}  {left:2.0f} s left{alarm(samples)}", True)
    silence = np.concatenate(taken)
    if not silence.any():
        raise SerError(f"{capture.source.name} gives nothing but zeros; {mute_advice(Machine(os.environ))}.")
    return silence


def _speech(capture: RecordingSession, tell: Tell, enough_seconds: float | None) -> Samples:
    """Record until enough was said, None: for a fixed time."""
    tell("Now read this aloud, as and from where you would speak to the assistant:", False)
    for sentence in SENTENCES:
        tell(f"    {sentence}", False)
    longest = UNATTENDED_SECONDS if enough_seconds is None else SPEECH_SECONDS
    gate = Gate()
    taken: list[Samples] = []
    heard, voiced, total = 0, 0, 0
    while heard < longest * SAMPLE_RATE:
        samples = capture.read().samples
        taken.append(samples)
        events = gate.push(Block(samples, heard))
        heard += len(samples)
        for event in events:
            if isinstance(event, SpeechAudio):
                voiced = event.voiced
            elif isinstance(event, SpeechEnded):
                total, voiced = total + event.voiced, 0
        progress = f"{(total + voiced) / SAMPLE_RATE:4.1f} s of speech"
        tell(f"{meter(level(samples))}  {progress}{alarm(samples)}", True)
        if enough_seconds is not None and total >= enough_seconds * SAMPLE_RATE:
            break
    tell("Thank you; measuring ...", True)
    return np.concatenate(taken)


def level(samples: Samples) -> float:
    """Return the mean power in dBFS."""
    power = float(np.mean(np.square(samples.astype(np.float64)))) / 32768.0**2
    return max(10.0 * float(np.log10(power + 1e-12)), SILENCE_DBFS)


def alarm(samples: Samples) -> str:
    """Say what can be put right at once."""
    if not samples.any():
        return "  nothing but zeros: muted?"
    return "  TOO LOUD" if int(np.abs(samples.astype(np.int32)).max()) >= 32767 else ""
